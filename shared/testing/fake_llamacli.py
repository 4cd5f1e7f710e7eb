"""A program that behaves like llama.cpp's `llama-completion`, for tests: what it does stands in its "model".

    program, model = fake_llamacli.write(folder, words=["Yes", "."], token_s=0.1)
    start_the_mesh(WARREN_LLAMACLI=str(program), WARREN_LLAMACLI_FOLDER=str(folder))

`exit` and `stderr`: how it fails; `child`: it starts another program that never ends, and writes its process id to this
file. What it was asked is in `<model>.asked`, a JSON line a call. Standard library only.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def write(folder: Path, *, name: str = "fake-1b.gguf", **does: Any) -> tuple[Path, Path]:
    """The program, which can be executed, and a model for it."""
    program, model = folder / "llama-completion", folder / name
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    program.chmod(0o755)
    model.write_bytes(b"GGUF" + json.dumps(does).encode())
    return program, model


def asked(model: Path) -> list[dict[str, Any]]:
    """What each call had: `options`, the text of `prompt`, `system` and `schema`, and the names of its environment."""
    return [json.loads(line) for line in Path(f"{model}.asked").read_text().splitlines()]


def main(options: list[str]) -> int:
    given = dict(itertools.pairwise(options))
    model = Path(given["-m"])
    files = {name: Path(given[option]).read_text() for name, option in FILES.items() if option in given}
    with open(f"{model}.asked", "a") as calls:
        calls.write(json.dumps({"options": options, "environment": sorted(os.environ), **files}) + "\n")
    does = json.loads(model.read_bytes()[4:])
    if "child" in does:
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        Path(does["child"]).write_text(str(child.pid))
    print(does.get("stderr", "loading"), file=sys.stderr, flush=True)
    if does.get("exit"):
        return int(does["exit"])
    words, limit = does.get("words", ["Yes", "."]), int(given["-n"])
    for word in words[:limit]:
        print(word, end="", flush=True)
        time.sleep(does.get("token_s", 0))
    done = len(words) <= limit
    print(" [end of text]\n\n" if done else "\n\n", flush=True)
    runs = min(len(words), limit) - (0 if done else 1)
    print("0.1 I common_perf_print: prompt eval time =  1 ms /    11 tokens (  1 ms per token)", file=sys.stderr)
    print(f"0.1 I common_perf_print:        eval time =  1 ms /  {runs} runs   (  1 ms per token)", file=sys.stderr)
    return 0


FILES = {"prompt": "-f", "system": "-sysf", "schema": "-jf"}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
