"""A report bundle: `report.md`, `.html` and `.json`, `sources/<sha256>.txt`; written here, and checked by anybody."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.cli.report_page import page
from shared.contracts.goals import GoalSummary
from shared.contracts.report import ReportBundle

FIELDS = (
    "goal_id", "goal", "status", "engine", "engine_reason", "report", "citations", "sources", "not_found", "removed",
    "stats",
)  # fmt: skip
"""`report.json`, in this order. Part of the stable surface: only ever added to."""


class NotABundle(ValueError):
    """The folder holds no report bundle; the text says what is missing."""


@dataclass(frozen=True)
class Bundle:
    """A report and the stored texts that it cites, by their sha256."""

    report: ReportBundle
    texts: Mapping[str, str]


def as_json(report: ReportBundle) -> dict[str, Any]:
    """What stands in `report.json`."""
    data = report.model_dump(mode="json")
    return {name: data[name] for name in FIELDS}


def bundle_of_nothing(goal: GoalSummary) -> ReportBundle:
    """What `--json` prints of a goal that ended without a report."""
    status: Literal["failed", "cancelled"] = "cancelled" if goal.status == "cancelled" else "failed"
    return ReportBundle(report="", goal_id=goal.goal_id, goal=goal.goal, engine=goal.engine, status=status)


def cited(report: ReportBundle) -> list[str]:
    """The sha256 of every text that must be in the bundle, in order, each once."""
    return list(dict.fromkeys([c.sha256 for c in report.citations] + [s.sha256 for s in report.sources]))


def write(bundle: Bundle, folder: Path) -> None:
    """Writes the bundle; twice is harmless. `report.json` comes last: where it stands, the rest is complete."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    for sha256, text in bundle.texts.items():
        _put(folder / "sources" / f"{sha256}.txt", text)
    for old in (folder / "sources").glob("*.txt"):
        if old.stem not in bundle.texts:
            old.unlink()
    _put(folder / "report.md", bundle.report.report)
    _put(folder / "report.html", page(bundle.report, bundle.texts))
    _put(folder / "report.json", json.dumps(as_json(bundle.report), ensure_ascii=False, indent=2) + "\n")


def read(folder: Path) -> Bundle:
    """The bundle in this folder, texts that are missing left out. Raises NotABundle."""
    if folder.name == "report.json":
        folder = folder.parent
    try:
        report = ReportBundle.model_validate_json((folder / "report.json").read_bytes())
    except FileNotFoundError:
        raise NotABundle(f"{folder} has no report.json") from None
    except ValueError as error:
        raise NotABundle(f"{folder}/report.json is not a report: {_first_line(error)}") from None
    texts = {}
    for sha256 in cited(report):
        path = folder / "sources" / f"{sha256}.txt"
        if re.fullmatch("[0-9a-f]{64}", sha256) and path.is_file():
            texts[sha256] = path.read_bytes().decode("utf-8", errors="replace")
    return Bundle(report, texts)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _put(path: Path, text: str) -> None:
    """Whole or not at all, and byte for byte: offsets count characters, so line ends must stay what they are."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(text.encode())
    os.replace(temporary, path)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split()[:20])
