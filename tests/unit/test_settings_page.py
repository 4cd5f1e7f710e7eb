"""`docs/settings.md` lists every setting there is, with its default and who reads it."""

import importlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from docs.generate import HERE
from shared.runtime.settings import MeshSettings

OWNERS = ("planner", "memory", "inference", "researcher", "writer", "watchdog", "cli")
BETWEEN_PROCESSES = {"WARREN_BEAT_FILE", "WARREN_KEEPER_FD"}
"""Set by the watchdog for its children, by nobody else."""
ROW = re.compile(r"^\| `(WARREN_[A-Z_]+)` \| (.*?) \| (?:`(.*?)`)? ?\| (.+) \|$", re.MULTILINE)


def _in_code() -> dict[str, tuple[list[str], list[str]]]:
    """Variable -> who reads it, and its defaults."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name, field in MeshSettings.model_fields.items():
        found[f"WARREN_{name.upper()}"] = (["all"], [_shown(field.default)])
    for owner in OWNERS:
        for name, field in importlib.import_module(f"services.{owner}.settings").Settings.model_fields.items():
            if name not in MeshSettings.model_fields and field.validation_alias is None:
                readers, defaults = found.setdefault(f"WARREN_{name.upper()}", ([], []))
                readers.append("`warren`" if owner == "cli" else owner)
                defaults.append(_shown(field.default))
    return {name: known for name, known in found.items() if name not in BETWEEN_PROCESSES}


def _shown(default: Any) -> str:
    if isinstance(default, timedelta):
        return f"{default.total_seconds():.6f}".rstrip("0").rstrip(".")
    if isinstance(default, Path) and default.is_absolute():
        return str(default.relative_to(HERE.parent))
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _on_the_page() -> dict[str, tuple[list[str], list[str]]]:
    rows = ROW.findall((HERE / "settings.md").read_text())
    return {name: (readers.split(", "), defaults.split(" / ")) for name, readers, defaults, _ in rows}


def test_the_page_and_the_code_agree() -> None:
    code = {
        name: (readers, list(dict.fromkeys(d for d in defaults if d)) or [""])
        for name, (readers, defaults) in _in_code().items()
    }
    assert _on_the_page() == code


def test_a_variable_that_several_processes_read_has_one_default() -> None:
    """Unset in one of them (the command finds the mesh by itself) is no second default."""
    assert {name: found for name, (_, found) in _in_code().items() if len(set(found) - {""}) > 1} == {}
