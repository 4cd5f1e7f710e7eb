"""The two questions we have for Erlang's port mapper (epmd): which nodes do you know, and would you please end.

The protocol: a request is a 16-bit length and a letter; the answer to `n` is the mapper's port (32 bits) and text, one
line a node, to `k` the word OK, or NO while a node is registered (an epmd ends for nobody while it is in use).
"""

import re
import socket

TIMEOUT_S = 1.0


def names(port: int) -> list[str] | None:
    """The nodes registered with the epmd on this port of 127.0.0.1; None if no epmd answers there."""
    answer = _ask(port, b"n")
    if answer is None or answer[:4] != port.to_bytes(4):
        return None
    return re.findall(r"^name (\S+) at port \d+$", answer[4:].decode(errors="replace"), re.MULTILINE)


def end(port: int) -> bool:
    """Ends the epmd on this port if nothing is registered with it. True if none is left to end."""
    answer = _ask(port, b"k")
    return answer is None or answer.startswith(b"OK")


def _ask(port: int, letter: bytes) -> bytes | None:
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(len(letter).to_bytes(2) + letter)
            while part := connection.recv(4096):
                answer += part
    except OSError:  # refused, reset, or a stranger that says nothing
        return answer or None
    return answer
