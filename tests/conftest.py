"""For all tests: in CI (`WARREN_NO_SKIP=1`) a test that skips itself has failed, since nobody would notice."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    return _not_skipped(report) if os.environ.get("WARREN_NO_SKIP") else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _not_skipped(report) if os.environ.get("WARREN_NO_SKIP") else report


def _not_skipped(report):
    """The same report, failed if it was skipped; an expected failure stays what it is."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped, and here nothing may be skipped: {reason}"
    return report
