"""Commands beside the run, and sockets torn down from outside by `ss -K`, as a cut cable would."""

import asyncio
import os
import shutil
import socket
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND_S = 210.0


async def run_command(*command: str, env: dict[str, str], within_s: float = COMMAND_S) -> str:
    """Output of a command. Raises RuntimeError with what it said when it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{' '.join(command)}: not ready within {within_s:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {err.decode()[-2000:]}")
    return out.decode()


async def destroy_sockets(*which: str) -> None:
    """Tears down the TCP connections that this filter of `ss` names. Raises RuntimeError when it may not."""
    await run_command("ss", "-K", "-t", *which, env=dict(os.environ))


async def can_destroy_sockets() -> bool:
    """Needs root, iproute2 and a kernel built for it: tried on a connection of our own."""
    if shutil.which("ss") is None:
        return False
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        try:
            await destroy_sockets("sport", "=", f":{ours.getsockname()[1]}")
            ours.settimeout(0.2)
            return ours.recv(1) == b""
        except TimeoutError:
            return False
        except RuntimeError:
            return False
        except OSError:
            return True
