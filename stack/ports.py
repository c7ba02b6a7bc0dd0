"""The ports of this machine: whether one is free, the next free one, and what listens on it."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stack.frozen import dataclass
from stack.processes import shortened, words_of

if TYPE_CHECKING:
    from psutil import Process
    from psutil._ntuples import pconn, sconn

# Asks for the declared port if it is free, else for the next free one.
AUTO: Final = "auto"
PortChoice = int | Literal["auto"]

HOST = "127.0.0.1"
# localhost resolves to this address too, and many clients try it first.
_HOST_6 = "::1"
# The addresses on which a server takes a port of ours.
_ADDRESSES = (HOST, _HOST_6, "0.0.0.0", "::")  # noqa: S104 - nothing is bound to them
_TRIED = 100
# Linux gives clients ports from 32768 on, other systems from 49152 on.
_UNCLAIMED = (20000, 32000)


@dataclass(frozen=True)
class Listener:
    """A listening process. `lineage`: its command line, and those of its ancestors."""

    process: int
    lineage: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return f"process {self.process} ({shortened(self.lineage[0])})"


@dataclass(frozen=True)
class Holder:
    """The owner of a port, for people, and how to free the port; `state` is the folder of the owner if an instance."""

    who: str
    fix: str
    state: Path | None = None


def is_free(port: int, udp: bool = False) -> bool:
    """Whether a server could bind the port now, and one of TCP would be the one that answers at `localhost`.

    A port below 1024 that this user may not bind counts as free: the engine may be allowed to.
    """
    if udp:
        return _can_bind(socket.AF_INET, HOST, port, socket.SOCK_DGRAM)
    return _can_bind(socket.AF_INET, HOST, port) and _can_bind(socket.AF_INET6, _HOST_6, port)


def _can_bind(
    family: socket.AddressFamily, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> bool:
    """Whether the port is free on this address; true if the machine has no such address."""
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except PermissionError:
        return True
    except OSError as error:
        return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return True


def any_free() -> int:
    """Return a random free port, so that concurrent callers rarely collide.

    It is below the range for clients: otherwise a client could get it while the server is down, and could even connect
    to itself.
    """
    while True:
        port = random.randrange(*_UNCLAIMED)  # noqa: S311 - not a secret
        if is_free(port):
            return port


def next_free(port: int, reserved: Collection[int] = (), udp: bool = False) -> int | None:
    """Return the first free port from `port` on that is not in `reserved`; None if none nearby is free."""
    near = range(port, min(port + _TRIED, 65536))
    return next((each for each in near if each not in reserved and is_free(each, udp)), None)


def listener(port: int, udp: bool = False) -> Listener | None:
    """Find the process that listens on a port, on our address or all; None if not visible, as another user's."""
    # The import takes 6 ms, so it is lazy.
    import psutil

    pids = [
        pid for address, pid in _listening("udp" if udp else "tcp") if address in [(host, port) for host in _ADDRESSES]
    ]
    if not pids:
        return None
    try:
        # Workers share the socket of their server, which is the oldest of them.
        server = min(map(psutil.Process, pids), key=psutil.Process.create_time)
        return Listener(server.pid, tuple(words_of(each) for each in (server, *server.parents())))
    except psutil.NoSuchProcess:
        return None


def _listening(kind: Literal["tcp", "udp"]) -> list[tuple[tuple[str, int], int]]:
    """List the address and pid of each server whose process is visible."""
    import psutil

    try:
        return _servers(psutil.net_connections(kind))
    except psutil.AccessDenied:  # macOS shows a user only their own processes
        return [
            each for process in psutil.process_iter() for each in _servers(_connections(process, kind), process.pid)
        ]


def _servers(connections: Iterable[sconn | pconn], owner: int | None = None) -> list[tuple[tuple[str, int], int]]:
    found = []
    for each in connections:
        pid = getattr(each, "pid", owner)
        # UDP has no states.
        if each.status in ("LISTEN", "NONE") and each.laddr and pid is not None:
            found.append(((each.laddr.ip, each.laddr.port), pid))
    return found


def _connections(process: Process, kind: Literal["tcp", "udp"]) -> list[pconn]:
    import psutil

    try:
        return process.net_connections(kind)
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return []
