"""Reads (and sends on) AMQP properties that the library cannot, instead of losing the connection over them.

A message id in Latin-1 or a timestamp in nanoseconds is within reach of any client, and brokers pass both. The library
(pamqp, below aio-pika) raises while it reads the frame: the connection breaks, the broker delivers the message again,
and the next consumer's connection breaks. One such message would take down every replica for good.
"""

import hashlib
from datetime import datetime
from struct import error
from typing import Any

from pamqp import decode, encode, exceptions

SHORT = 255
"""Bytes in AMQP's short strings."""
MAX_HEADERS = 96 * 1024
"""Bytes of a client's headers that a copy keeps: all but what our own may need of a frame of 128 KiB."""


def be_lenient() -> None:
    """For this process. Twice is harmless."""
    decode.METHODS["shortstr"] = short_text
    decode.METHODS["timestamp"] = time
    decode.METHODS["table"] = decode.TABLE_MAPPING[b"F"] = table
    decode.TABLE_MAPPING[b"T"] = time


def short_text(value: bytes) -> tuple[int, str]:
    """What is not UTF-8 is escaped (`b\\xff`): other bytes are another text, and none is too long to be sent on."""
    length = value[0] + 1
    return length, _text(value[1:length])


def _text(raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    if len(text.encode()) <= SHORT:
        return text
    return raw.decode("ascii", "ignore")[:200] + "~" + hashlib.sha256(raw).hexdigest()[:16]


def time(value: bytes) -> tuple[int, datetime | None]:
    """A time beyond all calendars is none."""
    try:
        return decode.timestamp(value)
    except (OverflowError, OSError, ValueError):
        return 8, None


def table(value: bytes) -> tuple[int, dict[str, Any]]:
    """A header whose name is not UTF-8 keeps an escaped name; one of an unknown type ends the table."""
    end = int.from_bytes(value[:4], "big") + 4
    found: dict[str, Any] = {}
    offset = 4
    while offset < end:
        size, name = short_text(value[offset:end])
        offset += size
        try:
            size, found[name] = decode.embedded_value(value[offset:end])
        except (ValueError, ArithmeticError, exceptions.PAMQPException):
            break
        offset += size
    return end, found


def sendable(headers: dict[str, Any]) -> dict[str, Any]:
    """A client's headers, so that the library can send them on: bytes stay bytes, what it cannot write becomes text.

    What does not fit beside our own is left out: all headers must fit into one frame.
    """
    kept: dict[str, Any] = {}
    size = 0
    for name, value in headers.items():
        plain = _sendable(value)
        size += len(name.encode()) + len(encode.encode_table_value(plain))
        if size > MAX_HEADERS:
            break
        kept[name] = plain
    return kept


def _sendable(value: Any) -> Any:
    value = bytearray(value) if isinstance(value, bytes) else value
    try:
        encode.encode_table_value(value)
    except (TypeError, ValueError, ArithmeticError, error):
        return str(value)[:1000]
    return value
