"""The routing table that is shipped, and the errors that a wrong one gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.inference.chains import Chain, Routes
from services.inference.routing import Routing, Server
from services.inference.routing_file import parse_routing, read_routing
from services.inference.settings import Settings
from shared.errors import ConfigurationError

SHIPPED = Path(__file__).parents[3] / "infra" / "routing.toml"


def test_the_shipped_table_says_what_holds_without_one() -> None:
    assert read_routing(SHIPPED) == Routing() == parse_routing("")
    assert Settings().rules == Routing()


def test_its_examples_are_valid() -> None:
    """What is commented out there, once it is not."""
    examples = ("remote_hosts =", "[", "plan =", "for =", "then =", "url =", "key_env =")
    text = "\n".join(
        line.removeprefix("# ")
        for line in SHIPPED.read_text().splitlines()
        if line.startswith(("local_hosts", *(f"# {each}" for each in examples)))
    )
    rules = parse_routing(text)
    assert rules.remote_hosts == ("127.0.0.1:4000",)
    assert rules.servers == (Server("https://gateway.example.com/v1", "GATEWAY_KEY"),)
    chains = (Chain("ollama/*", ("openai/gpt-small", "extractive")),)
    assert rules.routes == Routes({"plan": "openai/gpt-large"}, chains)


def test_names_are_read_as_addresses_have_them() -> None:
    rules = parse_routing(
        'local_hosts = ["Box.LAN:8080", "[fd00::1]:1", "::1"]\n[[servers]]\nurl = "http://a/"\nkey_env = ""'
    )
    assert rules.local_hosts == ("box.lan:8080", "[fd00::1]:1", "::1")
    assert rules.servers == (Server("http://a", ""),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('local_host = ["a"]', "t.toml, line 1: local_host: unknown field; known here: local_hosts"),
        ('remote_hosts = []\nlocal_hosts = "a"', "t.toml, line 2: local_hosts: must be a list of names, not 'a'"),
        ('local_hosts = [\n"a",\n"http://b"]', "t.toml, line 1: local_hosts: must be a host's name"),
        ('local_hosts = ["*"]', "t.toml, line 1: local_hosts: must be a host's name"),
        ('local_hosts = [""]', "t.toml, line 1: local_hosts: must be a host's name"),
        ("remote_hosts = [1]", "t.toml, line 1: remote_hosts: must be a host's name"),
        ('servers = "a"', "t.toml, line 1: servers: must be a list of tables"),
        ('[[servers]]\nurl = "a"\nkey_env = "A"', "t.toml, line 2: servers.0.url: must be an address"),
        ('[[servers]]\nurl = "http://a"\nkey_env = "A"\nkey = "s"', "t.toml, line 4: servers.0.key: unknown field"),
        ('[[servers]]\nurl = "http://a"', "t.toml, line 1: servers.0.key_env: must be the NAME of the variable"),
        (
            '[[servers]]\nurl = "http://a"\nkey_env = "A"\n\n[[servers]]\nurl = "http://a/"\nkey_env = "B"',
            "t.toml, line 6: servers.1.url: http://a is there twice",
        ),
        ("local_hosts = [", "t.toml: "),
    ],
)
def test_a_wrong_one_names_line_and_field(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse_routing(text, source="t.toml")
    assert str(wrong.value).startswith(said)


def test_a_key_that_stands_there_itself_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse_routing('[[servers]]\nurl = "http://a"\nkey_env = "sk-secret"')
    assert "servers.0.key_env" in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_one_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WARREN_ROUTING"):
        _ = Settings(routing=tmp_path / "none.toml").rules


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("WARREN_ROUTING", 'local_host = ["a"]', "line 1: local_host: unknown field"),
        ("WARREN_PRICES", "price = 3", "WARREN_PRICES "),
        ("WARREN_OPENAI_API_KEY_FILE", None, "No such file or directory"),
    ],
)
def test_a_wrong_file_ends_the_service_with_one_line_and_code_2(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    file = tmp_path / "file"
    if text is not None:
        file.write_text(text)
    environ = {**os.environ, "WARREN_OPENAI_URLS": "http://127.0.0.1:9", name: str(file), "WARREN_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "services.inference"]
    ended = subprocess.run(command, env=environ, cwd=SHIPPED.parents[1], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["event"] == "cannot_start"
    assert said in line
