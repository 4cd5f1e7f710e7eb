"""What a service need not load to start: its start is part of every recovery (figures: benchmarks/start)."""

import subprocess
import sys

import pytest

HEAVY = ("rich", "sqlalchemy.orm", "ollama", "pypdf", "lxml", "trafilatura", "sqlalchemy.dialects.postgresql")


@pytest.mark.parametrize("service", ["planner", "memory", "inference", "researcher", "writer"])
def test_a_service_loads_late_what_is_heavy(service: str) -> None:
    code = f"import sys, services.{service}.__main__; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert loaded.stdout.split() == []


def test_what_was_put_off_still_works_when_it_is_asked_for() -> None:
    code = (
        "import services.planner.app, rich.console; from sqlalchemy.orm import Session; "
        "from sqlalchemy.ext.asyncio.session import AsyncSession; print(AsyncSession.__name__, Session.__name__)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert loaded.stdout.split() == ["AsyncSession", "Session"]
