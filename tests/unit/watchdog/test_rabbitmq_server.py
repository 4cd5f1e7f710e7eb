"""What `prepare` writes and remembers, and the launcher's and the mapper client's small decisions. No broker runs."""

import socket
import stat
import threading
from pathlib import Path

import pytest

from services.watchdog import epmd_client, rabbitmq_files, rabbitmq_server
from services.watchdog.rabbitmq_files import Credentials, Ports

PORTS = Ports(amqp=21001, distribution=21002, epmd=21003)


@pytest.fixture(autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a RabbitMQ, whatever this one has."""
    script = tmp_path_factory.mktemp("usr") / "rabbitmq-server"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(rabbitmq_server, "SERVER_SCRIPT", script)
    return script


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def config_of(folder: Path) -> dict[str, str]:
    lines = (folder / "rabbitmq.conf").read_text().splitlines()
    pairs = (line.split(" = ", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def test_the_packages_script_comes_before_the_one_on_path(server: Path) -> None:
    assert rabbitmq_server.find_server() == server


def test_without_the_package_a_server_on_path_is_taken(
    tmp_path: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_server, "SERVER_SCRIPT", tmp_path / "none")
    monkeypatch.setenv("PATH", str(server.parent))
    assert rabbitmq_server.find_server() == server


def test_a_machine_without_rabbitmq_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_server, "SERVER_SCRIPT", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert rabbitmq_server.find_server() is None
    with pytest.raises(FileNotFoundError, match="infra/setup --broker"):
        rabbitmq_server.prepare(tmp_path)
    assert not (tmp_path / "broker").exists()


def test_preparing_twice_gives_the_same_broker(tmp_path: Path) -> None:
    assert rabbitmq_server.prepare(tmp_path) == rabbitmq_server.prepare(tmp_path)


def test_every_home_has_its_own_node_password_and_cookie(tmp_path: Path) -> None:
    one, other = rabbitmq_server.prepare(tmp_path / "one"), rabbitmq_server.prepare(tmp_path / "other")
    assert one.node != other.node
    assert one.amqp_url != other.amqp_url
    cookies = {(spec.folder / ".erlang.cookie").read_text() for spec in (one, other)}
    assert len(cookies) == 2


def test_a_moved_home_keeps_its_node_and_with_it_its_data(tmp_path: Path) -> None:
    before = rabbitmq_server.prepare(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert rabbitmq_server.prepare(tmp_path / "there").node == before.node


def test_nobody_else_may_read_secrets(tmp_path: Path) -> None:
    folder = rabbitmq_server.prepare(tmp_path).folder
    assert mode(folder) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"credentials.json", ".erlang.cookie", "rabbitmq.conf", "ports.json"}
    assert {mode(path) for path in files} == {0o600}


def test_the_password_does_not_show_in_a_log_line(tmp_path: Path) -> None:
    spec = rabbitmq_server.prepare(tmp_path)
    password = spec.amqp_url.split(":")[2].split("@")[0]
    assert len(password) >= 32
    assert password not in repr(spec)
    assert password not in " ".join(spec.argv)


def test_the_configuration_listens_on_loopback_and_knows_its_user(tmp_path: Path) -> None:
    rabbitmq_files.write(tmp_path, ports=PORTS, login=Credentials("warren", "secret"))
    config = config_of(tmp_path)
    assert config["listeners.tcp.1"] == "127.0.0.1:21001"
    assert (config["default_user"], config["default_pass"]) == ("warren", "secret")
    assert not any(key.startswith(("listeners.ssl", "management")) for key in config)
    assert (tmp_path / "enabled_plugins").read_text() == "[].\n"


def test_the_environment_is_the_brokers_own_and_nothing_of_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RABBITMQ_NODE_PORT", "RABBITMQ_NODE_IP_ADDRESS", "ERL_AFLAGS", "NOTIFY_SOCKET", "ERL_LIBS"):
        monkeypatch.setenv(name, "5672")
    env = rabbitmq_files.environment(tmp_path, node="warren-1@localhost", ports=PORTS)
    assert "5672" not in env.values()
    assert env["HOME"] == str(tmp_path)
    assert env["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "inet_dist_use_interface {127,0,0,1}" in env["ERL_FLAGS"]
    paths = [value for key, value in env.items() if value.startswith("/") and key != "PATH"]
    assert all(value.startswith(str(tmp_path)) for value in paths)


def test_ports_are_three_below_those_of_outgoing_connections(tmp_path: Path) -> None:
    ports = rabbitmq_files.address(tmp_path).ports
    chosen = {ports.amqp, ports.distribution, ports.epmd}
    assert len(chosen) == 3
    assert all(port in rabbitmq_files.PORT_RANGE for port in chosen)


def test_a_stranger_on_a_remembered_port_makes_it_choose_again(tmp_path: Path) -> None:
    first = rabbitmq_files.address(tmp_path)
    with socket.create_server(("127.0.0.1", first.ports.distribution)):
        second = rabbitmq_files.address(tmp_path)
        assert second.node == first.node
        assert second.ports.distribution != first.ports.distribution
    assert rabbitmq_files.address(tmp_path) == second


def test_a_damaged_port_file_is_no_reason_to_forget_the_data(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(ValueError, match=r"ports\.json is damaged"):
        rabbitmq_files.address(tmp_path)


class Mapper:
    """An epmd that gives one answer to one question."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.asked = b""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Mapper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            self.asked = connection.recv(100)
            connection.sendall(self._answer.replace(b"PORT", self.port.to_bytes(4)))


def test_a_mapper_names_its_nodes() -> None:
    with Mapper(b"PORTname warren-1 at port 21002\nname rabbit at port 25672\n") as mapper:
        assert epmd_client.names(mapper.port) == ["warren-1", "rabbit"]
    assert mapper.asked == b"\x00\x01n"


def test_what_does_not_answer_like_a_mapper_is_none() -> None:
    with Mapper(b"HTTP/1.1 400 Bad Request\r\n\r\n") as stranger:
        assert epmd_client.names(stranger.port) is None


@pytest.mark.parametrize(("answer", "ended"), [(b"OK", True), (b"NO", False)])
def test_a_mapper_in_use_refuses_to_end(answer: bytes, ended: bool) -> None:
    with Mapper(answer) as mapper:
        assert epmd_client.end(mapper.port) is ended
    assert mapper.asked == b"\x00\x01k"


def test_no_mapper_at_all_is_the_end_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert epmd_client.end(port)
    assert epmd_client.names(port) is None


def test_a_stale_pid_file_is_not_believed(tmp_path: Path) -> None:
    spec = rabbitmq_server.prepare(tmp_path)
    assert rabbitmq_server.running_pid(spec) is None
    spec.pid_file.write_text("1\n")  # a process that surely runs, and is not ours
    assert rabbitmq_server.running_pid(spec) is None
