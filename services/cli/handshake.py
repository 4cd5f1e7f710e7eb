"""Is there an AMQP broker, and which? The first frame of the protocol tells, before any login."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

HELLO = b"AMQP\x00\x00\x09\x01"
WAIT_S = 3.0


@dataclass(frozen=True)
class FoundBroker:
    """What answered. `problem` says why nothing did, for people."""

    answers: bool
    product: str = ""
    version: str = ""
    problem: str = ""

    @property
    def version_tuple(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit())


def broker_at(url: str) -> FoundBroker:
    """Says hello and reads the answer; never logs in. Never raises."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "127.0.0.1", parts.scheme == "amqps"
    try:
        with socket.create_connection((host, parts.port or (5671 if secure else 5672)), WAIT_S) as plain:
            stream = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain
            stream.settimeout(WAIT_S)
            stream.sendall(HELLO)
            return read_start(stream.recv(65536))
    except TimeoutError:
        return FoundBroker(False, problem="it does not answer")
    except OSError as error:
        return FoundBroker(False, problem=(error.strerror or str(error)).lower())


def read_start(frame: bytes) -> FoundBroker:
    """`connection.start` (class 10, method 10) lists the server's properties as a table of names and long strings."""
    if frame[:1] != b"\x01" or frame[7:11] != b"\x00\x0a\x00\x0a":
        return FoundBroker(False, problem="something answers that is no AMQP 0-9-1 broker")
    return FoundBroker(
        True, product=_long_string(frame, b"product") or "a broker", version=_long_string(frame, b"version")
    )


def _long_string(frame: bytes, name: bytes) -> str:
    key = bytes([len(name)]) + name + b"S"
    at = frame.find(key)
    if at < 0:
        return ""
    at += len(key)
    (size,) = struct.unpack_from(">I", frame, at)
    return frame[at + 4 : at + 4 + size].decode(errors="replace")
