"""Which model servers may be sent what: the rules of `infra/routing.toml`. Pure.

A server is local when its address says so: a loopback or private address, `localhost`, or a name that the table lists.
Names are never resolved to decide this, since what they resolve to may change between the look and the call. `https:`
is never local: that is how gateways are reached, and those are asked through the environment's proxy.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from services.inference.chains import Routes
from services.inference.generation import EngineFailed, Host
from shared.contracts.sensitivity import Sensitivity

PRIVATE = tuple(
    ip_network(net) for net in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Not all that Python calls private: no link-local (metadata services), no shared (carriers), no documentation."""
NAMES = ("ollama", "host.docker.internal")
"""Of compose: its own Ollama, and the machine that the containers run on."""
_PLAIN = re.compile(r"http://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?(?:/[a-z0-9._~/-]*)?", re.IGNORECASE)
"""An address that no two parsers read differently: no user, no escapes, no query."""


@dataclass(frozen=True)
class Server:
    """A server with a key of its own. `key_env`: the variable that has it; "" for no key."""

    url: str
    key_env: str


@dataclass(frozen=True)
class Routing:
    """`local_hosts`: names, or `name:port`, that are local besides `localhost` and loopback and private addresses.
    `remote_hosts`: what is not local although it looks so, such as a proxy here that passes on to a cloud. `servers`:
    those with a key of their own. `routes`: by purpose, and where an engine fails."""

    local_hosts: tuple[str, ...] = NAMES
    remote_hosts: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()
    routes: Routes = field(default_factory=Routes)

    def is_local(self, url: str) -> bool:
        """Where there is any doubt, no."""
        if not _PLAIN.fullmatch(url):
            return False
        try:
            parts = urlsplit(url)
            name, port = (parts.hostname or "").lower(), parts.port or 80
        except ValueError:
            return False
        spellings = {name, f"{name}:{port}", f"[{name}]:{port}"}
        if spellings & set(self.remote_hosts):
            return False
        return bool(spellings & {"localhost", *self.local_hosts}) or _is_private(name)

    def key_of(self, url: str, *, usual: str, environ: Mapping[str, str]) -> str | None:
        """The key that this server gets, "" for none; None where its variable is not set. `usual`, which is meant for
        all servers, is sent to none of them once one has an entry of its own: it could be that one's."""
        found = next((server for server in self.servers if server.url == url), None)
        if found is None:
            return "" if self.servers else usual
        return environ.get(found.key_env) or None if found.key_env else ""


def _is_private(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in net for net in PRIVATE if net.version == address.version)


def check_local(local: bool, sensitivity: Sensitivity, *, url: str) -> None:
    """The last look before something is sent to a server, whoever chose it. Raises EngineFailed."""
    if sensitivity == "restricted" and not local:
        raise EngineFailed("restricted", _not_sent(url))


def _not_sent(url: str) -> str:
    return f"{url} is not local, so nothing restricted is sent to it: use a local model (docs/models.md, Routing)"


def open_to(sensitivity: Sensitivity, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """The hosts as a call of this level may see them. A restricted one: of local hosts the models that run there, of
    the others only why not."""
    return tuple(map(_for_restricted, hosts)) if sensitivity == "restricted" else tuple(hosts)


def _for_restricted(host: Host) -> Host:
    if not host.local:
        return replace(host, models=(), error=_not_sent(host.url))
    return replace(host, models=tuple(model for model in host.models if not passed_on(model.name)))


def passed_on(model: str) -> bool:
    """Does an Ollama pass what it is asked of this model on to Ollama's cloud? By its name, as the library gives it;
    one that was copied to another name is found out before it is asked (`OllamaHost`)."""
    return bool(re.search(r"[:-]cloud$", model))
