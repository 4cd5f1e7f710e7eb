"""Does an AMQP broker live? The first half of the handshake asks it, before any login."""

from __future__ import annotations

import asyncio
import errno
import socket
from enum import Enum

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = 1
CONNECTION_START = b"\x00\x0a\x00\x0a"  # class 10, method 10
NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH}


class Answer(Enum):
    """`NO_WAY`: there is no network to it, which says nothing about the broker."""

    ALIVE = "alive"
    SILENT = "silent"
    NO_WAY = "no way"


async def ask(host: str, port: int, *, timeout_s: float) -> Answer:
    """Our header, its Connection.Start. A server that only listens does not live. Never raises."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(PROTOCOL_HEADER)
                frame = await reader.readexactly(11)  # type 1 byte, channel 2, size 4, class 2, method 2
            finally:
                writer.close()
    except (OSError, EOFError) as error:  # TimeoutError is an OSError
        no_way = isinstance(error, socket.gaierror) or getattr(error, "errno", None) in NO_WAY
        return Answer.NO_WAY if no_way else Answer.SILENT
    return Answer.ALIVE if frame[0] == METHOD_FRAME and frame[7:] == CONNECTION_START else Answer.SILENT
