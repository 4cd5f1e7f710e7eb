"""A machine with python3 and make and nothing else: both commands work, and no port opens to others."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.docker.stack import ROOT, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(660)]
MACHINE = "debian:trixie-slim"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running container with python3, make and this checkout in /warren; removed afterwards."""
    name = f"warren-bare-{uuid4().hex[:6]}"
    docker("run", "--detach", "--name", name, "--init", MACHINE, "sleep", "infinity")
    try:
        within(name, "apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 make >/dev/null")
        copy_checkout(name, tmp_path_factory.mktemp("bare") / "checkout.tar")
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def within(name: str, script: str, *, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "exec", "-i", name, "sh", "-c", script], capture_output=True, text=True, timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def copy_checkout(name: str, archive: Path) -> None:
    """The files that git knows, as they are now."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    there = b"\0".join(f for f in files.split(b"\0") if f and (ROOT / f.decode()).is_file())
    subprocess.run(["tar", "-cf", archive, "--null", "-T", "-"], cwd=ROOT, input=there, check=True)
    within(name, "mkdir /warren")
    with archive.open("rb") as stream:
        subprocess.run(["docker", "exec", "-i", name, "tar", "-xf", "-", "-C", "/warren"], stdin=stream, check=True)


def test_make_demo_on_a_bare_machine(machine: str):
    before = listening(machine)
    demo = within(machine, "cd /warren && make demo", timeout_s=540)
    assert demo.returncode == 0, demo.stdout[-4000:] + demo.stderr[-4000:]
    assert "killed" in demo.stdout + demo.stderr
    listed = within(machine, "ls /warren/.warren/reports/*/report.json")
    assert listed.returncode == 0, "no report bundle"
    bundle = str(Path(listed.stdout.split()[0]).parent)
    verified = within(machine, f"/warren/.venv/bin/warren verify {bundle}")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert listening(machine) == before


def test_the_tests_pass_on_a_bare_machine(machine: str):
    """`make test` less its long lanes (integration, sim, crash, chaos), on the newer Python of that machine."""
    test = within(machine, "cd /warren && make unit e2e", timeout_s=650)
    assert test.returncode == 0, test.stdout[-8000:] + test.stderr[-2000:]
    assert "no Docker engine answers" in test.stdout
    assert listening(machine) == set()


def listening(machine: str) -> set[str]:
    """Addresses (hexadecimal, as the kernel prints them) of listening sockets that are not on loopback."""
    rows = within(machine, "cat /proc/net/tcp /proc/net/tcp6").stdout.splitlines()
    local = [row.split()[1] for row in rows if len(row.split()) > 3 and row.split()[3] == "0A"]
    return {a for a in local if not a.startswith(("0100007F:", "00000000000000000000000001000000:"))}
