"""Let programs of this machine reach a port of a container that publishes none, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stack.engines.docker import client
from stack.engines.docker.objects import inspect
from stack.frozen import dataclass
from stack.ports import HOST, any_free

_TIMEOUT = 2.0
_CHUNK = 65536
# Connects its standard input and output to a port of its container, by what an image has for it. It ends with either.
# The signals go to its own two processes alone: it may be in the process group of the server.
_BASH = """\
exec 3<> "/dev/tcp/$0/$1" 4<&0 || exit
cat <&3 & from=$!
cat <&4 >&3 & to=$!
wait -n
kill $from $to 2> /dev/null
"""
_RELAY = f"""\
host=${{HOSTNAME:-$(hostname)}}
if command -v bash > /dev/null; then exec bash -c '{_BASH}' "$host" "$1"; fi
exec nc "$host" "$1"
"""


@dataclass(frozen=True)
class Forwarded:
    """A port of a container: `container` finds the one that runs now, on the server `host` or here.

    `direct`: connect to its address first. On Linux its address is reached from the machine that it is on. Elsewhere a
    virtual machine is between the two.
    """

    container: Callable[[], str]
    port: int
    direct: bool = sys.platform == "linux"
    host: str | None = None


@contextlib.contextmanager
def forwarded(target: Forwarded) -> Iterator[int]:
    """Listen on a free port of 127.0.0.1, and yield it."""
    with _Server((HOST, any_free()), target) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    # What is connected ends with this process.
    block_on_close = False

    def __init__(self, address: tuple[str, int], target: Forwarded) -> None:
        super().__init__(address, _Handler)
        self.target = target

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave it to the client, whose connection ends."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        target = self.server.target
        container = target.container()
        connection = _connect(container, target.port) if target.direct and target.host is None else None
        if connection is None:
            subprocess.run(
                _relay(container, target.port), stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL,
                env=dict(client.environment(target.host)), check=False, start_new_session=True,
            )  # fmt: skip
            return
        with connection:
            back = threading.Thread(target=_pump, args=(connection, self.request), daemon=True)
            back.start()
            _pump(self.request, connection)
            back.join()


def _relay(container: str, port: int) -> Sequence[str]:
    return client.command(["exec", "--interactive", container, "sh", "-c", _RELAY, "sh", str(port)])


def _connect(container: str, port: int) -> socket.socket | None:
    """Connect to a container by one of its addresses; None if that is not reached from this machine."""
    networks = [each["NetworkSettings"]["Networks"] for each in inspect(containers=[container])]
    addresses = [network["IPAddress"] for found in networks for network in found.values() if network["IPAddress"]]
    for address in addresses[:1]:
        try:
            connection = socket.create_connection((address, port), _TIMEOUT)
        except OSError:
            return None
        connection.settimeout(None)
        return connection
    return None


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until one side ends it, and then that it ended."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
