"""Finding the mesh: the order of the places, and what is said about them."""

import fcntl
import json
from pathlib import Path

import pytest

from services.cli.mesh import DEFAULT_URL, Surroundings, find_mesh, keeper_alive, without_password
from shared.errors import ConfigurationError


def mesh_in(folder: Path, **record: object) -> Path:
    home = folder / ".warren"
    (home / "run").mkdir(parents=True)
    (home / "mesh.json").write_text(json.dumps(record))
    return home


def test_the_option_wins_over_everything(tmp_path: Path) -> None:
    mesh_in(tmp_path, amqp_url="amqp://a@h1/", mode="docker")
    here = Surroundings(tmp_path, option="amqp://b@h2/", env_url="amqp://c@h3/")
    found = find_mesh(here)
    assert (found.url, found.found_by) == ("amqp://b@h2/", "--url")


def test_the_environment_wins_over_the_folder(tmp_path: Path) -> None:
    mesh_in(tmp_path, amqp_url="amqp://a@h1/", mode="docker")
    assert find_mesh(Surroundings(tmp_path, env_url="amqp://c@h3/")).found_by == "WARREN_AMQP_URL"


def test_the_nearest_folder_upwards_is_used(tmp_path: Path) -> None:
    mesh_in(tmp_path, amqp_url="amqp://far@h/", mode="docker")
    near = tmp_path / "project"
    mesh_in(near, amqp_url="amqp://near@h/", mode="docker")
    deep = near / "a" / "b"
    deep.mkdir(parents=True)
    found = find_mesh(Surroundings(deep))
    assert found.url == "amqp://near@h/"
    assert found.home == near / ".warren"
    assert found.found_by.endswith(".warren/mesh.json")


def test_a_named_home_is_the_only_folder_that_is_looked_at(tmp_path: Path) -> None:
    mesh_in(tmp_path, amqp_url="amqp://a@h1/", mode="docker")
    found = find_mesh(Surroundings(tmp_path, env_home=tmp_path / "other"))
    assert found.url == DEFAULT_URL
    assert found.home == tmp_path / "other"


def test_without_anything_it_is_this_machine_and_says_so(tmp_path: Path) -> None:
    found = find_mesh(Surroundings(tmp_path))
    assert found.url == DEFAULT_URL
    assert found.found_by.startswith("default; no mesh in ")


def test_the_address_of_a_stopped_mesh_is_not_used(tmp_path: Path) -> None:
    mesh_in(tmp_path, amqp_url="amqp://a@h1/", mode="process", keeper_pid=1)
    found = find_mesh(Surroundings(tmp_path))
    assert found.url == DEFAULT_URL
    assert "is stopped" in found.found_by


def test_a_running_keeper_is_known_by_its_lock(tmp_path: Path) -> None:
    home = mesh_in(tmp_path, amqp_url="amqp://a@h1/", mode="process", keeper_pid=1)
    with (home / "run" / "keeper.lock").open("w") as lock:
        assert not keeper_alive(home)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert keeper_alive(home)
        assert find_mesh(Surroundings(tmp_path)).url == "amqp://a@h1/"
    assert not keeper_alive(home)


def test_a_broken_record_is_no_record(tmp_path: Path) -> None:
    mesh_in(tmp_path)
    (tmp_path / ".warren" / "mesh.json").write_text("{cut")
    assert find_mesh(Surroundings(tmp_path)).url == DEFAULT_URL


@pytest.mark.parametrize("url", ["http://h/", "h:5672", "amqp://", "amqp://h:port/"])
def test_an_address_that_is_none_is_refused_with_its_origin(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="--url is no broker address"):
        find_mesh(Surroundings(tmp_path, option=url))


def test_passwords_are_not_shown() -> None:
    assert without_password("amqp://me:secret@h:5672/vhost") == "amqp://me@h:5672/vhost"
