"""`make docs`: writes what follows from the code. A test compares it with what is committed.

docs/contracts/<type>.json   a JSON Schema per contract
docs/asyncapi.json           the mesh as an AsyncAPI 3.0 document
docs/supervision.svg         the supervision tree as a picture
"""

import json
import sys
from pathlib import Path
from typing import Any

from docs.tree_picture import picture
from services.watchdog.tree_file import parse_tree
from shared.contracts.schemas import schemas
from shared.messaging.asyncapi import asyncapi

HERE = Path(__file__).resolve().parent
TREE = HERE.parent / "infra" / "supervision.toml"


def files() -> dict[str, str]:
    """What is generated: path below `docs/` -> text."""
    texts = {f"contracts/{name}.json": _text(schema) for name, schema in schemas().items()}
    tree = parse_tree(TREE.read_text(encoding="utf-8"), mode=None)
    return {**texts, "asyncapi.json": _text(asyncapi()), "supervision.svg": picture(tree)}


def main() -> int:
    """Writes all files and removes schemas of contracts that are gone. Twice is harmless."""
    wanted = files()
    (HERE / "contracts").mkdir(exist_ok=True)
    for old in (HERE / "contracts").glob("*.json"):
        if f"contracts/{old.name}" not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
