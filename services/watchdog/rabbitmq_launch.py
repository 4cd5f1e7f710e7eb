"""Starts a RabbitMQ that listens on 127.0.0.1 only: first Erlang's port mapper (epmd), then the server in this process.

A plain script, run by its path with the standard library only: `python -I -S rabbitmq_launch.py RABBITMQ_SERVER`.

Two things that RabbitMQ cannot do by itself:

- epmd opens [::1] beside whatever address it is told. One that inherits its socket (`-systemd`) opens nothing, so the
  socket is bound here.
- epmd makes itself a daemon and outlives its node. Here it is a child of the node that the kernel ends with it (Linux),
  however the node dies.

Where either is not to be had, RabbitMQ starts its own epmd and `rabbitmq_server.after_exit` ends it. The process id
stays the same from this script to the Erlang machine: what supervises it needs to know one process only.
"""

import os
import shutil
import signal
import socket
import sys

SYSTEMD_FIRST_FD = 3
PR_SET_PDEATHSIG = 1


def main(server: str) -> None:
    """Does not return: becomes the server. Raises OSError if the script cannot be run."""
    epmd = shutil.which("epmd")
    if epmd is not None and sys.platform == "linux":
        start_epmd(epmd, port=int(os.environ["ERL_EPMD_PORT"]))
    os.execv(server, [server])


def start_epmd(epmd: str, *, port: int) -> None:
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        return  # one is there already, left by a node that died a moment ago: it serves as well
    parent = os.getpid()
    if os.fork() == 0:
        become_epmd(epmd, listener=listener, parent=parent)
    listener.close()  # or the Erlang machine would hold the port for its whole life


def become_epmd(epmd: str, *, listener: socket.socket, parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    if listener.fileno() == SYSTEMD_FIRST_FD:
        os.set_inheritable(SYSTEMD_FIRST_FD, True)
    else:
        os.dup2(listener.fileno(), SYSTEMD_FIRST_FD)
    env = {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    try:
        os.execve(epmd, [epmd, "-systemd"], env)
    finally:
        os._exit(1)


def die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
