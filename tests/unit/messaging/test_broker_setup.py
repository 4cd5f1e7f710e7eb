"""Before the broker starts: passwords drawn once, and no open port with the password that everyone knows."""

import json
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.messaging.broker_setup import refuse_open_default, set_up
from shared.messaging.definitions import SERVICES, password_hash


def run(folder: Path, **environ: str) -> dict[str, str]:
    """Password hashes in the definitions written into `folder`, by user."""
    (folder / "secrets").mkdir(exist_ok=True)
    set_up(environ, secrets_folder=folder / "secrets", definitions_file=folder / "definitions.json")
    return {u["name"]: u["password_hash"] for u in json.loads((folder / "definitions.json").read_text())["users"]}


@pytest.fixture(autouse=True)
def nobody_is_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)


def test_services_get_random_passwords_that_stay(tmp_path: Path):
    first = run(tmp_path)
    passwords = {s: (tmp_path / "secrets" / s).read_text() for s in SERVICES}
    assert len(set(passwords.values())) == len(SERVICES)
    assert first["planner"] == password_hash("planner", passwords["planner"])
    assert run(tmp_path) == first


def test_the_environment_wins(tmp_path: Path):
    run(tmp_path)
    hashes = run(tmp_path, **{"WARREN_WRITER_PASSWORD": "chosen-by-me", "WARREN_CLIENT_PASSWORD": "mine-too"})
    assert (tmp_path / "secrets/writer").read_text() == "chosen-by-me"
    assert hashes["writer"] == password_hash("writer", "chosen-by-me")
    assert hashes["client"] == password_hash("client", "mine-too")


def test_a_secret_is_its_owners_alone(tmp_path: Path):
    run(tmp_path)
    assert (tmp_path / "secrets/planner").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]", ""])
def test_this_machine_only_is_fine_with_the_default(bind: str):
    refuse_open_default({"WARREN_BIND": bind})


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.168.1.2", "[::]"])
@pytest.mark.parametrize("password", ["", "warren", "short"])
def test_an_open_port_with_a_weak_password_is_refused(bind: str, password: str):
    with pytest.raises(ConfigurationError, match="WARREN_CLIENT_PASSWORD"):
        refuse_open_default({"WARREN_BIND": bind, "WARREN_CLIENT_PASSWORD": password})


def test_an_open_port_with_a_password_of_ones_own_is_fine():
    refuse_open_default({"WARREN_BIND": "0.0.0.0", "WARREN_CLIENT_PASSWORD": "a-long-one-of-mine"})
