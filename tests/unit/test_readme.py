"""Commands that the README and the pages print run as printed: targets, options and files that they name exist."""

import contextlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cyclopts.exceptions import MissingArgumentError

from services.cli.app import build

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.S)
_INLINE = re.compile(r"`((?:\./)?warren [a-z][^`]*|make [a-z][^`]*|docker compose [^`]*|benchmarks/[^`]*)`")
_PATH = re.compile(
    r"`((?:services|shared|infra|docs|tests|benchmarks|examples)/[\w./-]*|[\w.-]+\.(?:md|yml|toml|lock))`"
)
_MADE_LATER = re.compile(r"report\.(md|json)|mesh\.json|glossary")


def _lines(page: Path) -> list[str]:
    """Command lines of a page, without comments, pipes taken apart."""
    text = page.read_text()
    lines = [line for block in _BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += _INLINE.findall(text)
    parts = [part.strip() for line in lines for part in re.split(r"\s\|\s|\s&&\s|;\s|\s&$|\s#\s.*$", line)]
    return [re.sub(r"^(\w+=(\$\([^)]*\)|\S*)\s+)+(?=\S)", "", part) for part in parts if part]


COMMANDS = [(page.name, line) for page in PAGES for line in dict.fromkeys(_lines(page))]


def _of(*programs: str) -> list[str]:
    return sorted({line for _, line in COMMANDS if line.split()[0] in programs})


@pytest.mark.parametrize("line", _of("./warren", "warren"))
def test_the_command_takes_what_is_printed(line: str) -> None:
    """In a sentence a command may be named without its arguments."""
    words = shlex.split(line.replace("...", "x"))[1:]
    assert words
    with contextlib.suppress(MissingArgumentError):
        build().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("line", _of("make"))
def test_make_knows_the_target(line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if word != "..."]
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", _of("docker"))
def test_compose_knows_the_services_and_profiles(line: str) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for service in re.findall(r"--scale (\w+)=", line):
        assert re.search(rf"^  {service}:$", compose, re.M)
    for profile in re.findall(r"--profile (\w+)", line):
        assert f"profiles: [{profile}]" in compose


@pytest.mark.parametrize("line", _of("benchmarks/footprint"))
def test_benchmarks_that_are_quoted_exist(line: str) -> None:
    assert (ROOT / line.split()[0]).stat().st_mode & 0o100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for path in _PATH.findall(page.read_text()):
        if not _MADE_LATER.search(path):
            assert any((folder / path).exists() for folder in (ROOT, page.parent, ROOT / "shared/contracts")), path


def test_the_readme_shows_the_two_commands_first() -> None:
    first = [line for line in _lines(ROOT / "README.md") if line.startswith("make")][:2]
    assert first == ["make demo", "make test"]


def test_the_readme_is_found_to_name_commands() -> None:
    """Guards the tests above: a pattern that finds nothing would pass them all."""
    assert {line.split()[1] for line in _of("./warren") if len(line.split()) > 1} >= {"ask", "dead", "doctor", "verify"}
