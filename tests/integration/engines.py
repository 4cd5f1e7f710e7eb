"""Is there a Docker engine? A test that needs one says so; in CI a test that skips itself has failed."""

import subprocess

import pytest


def need_docker() -> None:
    try:
        answer = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("no docker command")
    if answer.returncode:
        pytest.skip("no Docker engine answers")
