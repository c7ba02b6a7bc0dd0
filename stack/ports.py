"""The ports of this machine: whether one is free, which is next, and what listens on it."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stack.processes import shortened, words_of

if TYPE_CHECKING:
    from psutil import Process
    from psutil._ntuples import pconn, sconn

# Asks for the declared port if it is free, else for the next free one.
AUTO: Final = "auto"
PortChoice = int | Literal["auto"]

HOST = "127.0.0.1"
# What the name localhost in a URL stands for too: many clients try it first.
_HOST_6 = "::1"
# Where a server that has the port of our addresses listens.
_ADDRESSES = (HOST, _HOST_6, "0.0.0.0", "::")  # noqa: S104 - nothing is bound to them
_TRIED = 100
# Linux hands out those from 32768 on to clients, others from 49152 on.
_UNCLAIMED = (20000, 32000)


@dataclass(frozen=True)
class Listener:
    """A process that listens. `lineage`: the words of its own command, and of those that it came from."""

    process: int
    lineage: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return f"process {self.process} ({shortened(self.lineage[0])})"


@dataclass(frozen=True)
class Holder:
    """What has a port, in words, and what makes it give it back; `state` is the folder of the instance that it is."""

    who: str
    cure: str
    state: Path | None = None


def is_free(port: int) -> bool:
    """Whether a server could have it now, and would be what answers at `localhost`.

    Below 1024 that can't be tried by everybody, and the engine may still.
    """
    return _can_bind(socket.AF_INET, HOST, port) and _can_bind(socket.AF_INET6, _HOST_6, port)


def _can_bind(family: socket.AddressFamily, address: str, port: int) -> bool:
    """Whether nothing has the port of this address; also if the machine has no such address."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except PermissionError:
        return True
    except OSError as error:
        return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return True


def any_free() -> int:
    """One for a server whose port does not matter, by chance, and so another for each who asks at the same time.

    It is below those that the system hands out to clients: else one of these could be given it while its server is
    down, and could even connect to itself.
    """
    while True:
        port = random.randrange(*_UNCLAIMED)  # noqa: S311 - not a secret
        if is_free(port):
            return port


def next_free(port: int, spared: Collection[int] = ()) -> int | None:
    """The first free one from `port` on that is not in `spared`; None where there is none near."""
    near = range(port, min(port + _TRIED, 65536))
    return next((each for each in near if each not in spared and is_free(each)), None)


def listener(port: int) -> Listener | None:
    """Who listens on it, on this address or on all; None where that can't be seen, as of another user's process."""
    # 6 ms: only for what needs it.
    import psutil

    pids = [pid for address, pid in _listening() if address in [(host, port) for host in _ADDRESSES]]
    if not pids:
        return None
    try:
        # Workers share the socket of their server, which is the oldest of them.
        server = min(map(psutil.Process, pids), key=psutil.Process.create_time)
        return Listener(server.pid, tuple(words_of(each) for each in (server, *server.parents())))
    except psutil.NoSuchProcess:
        return None


def _listening() -> list[tuple[tuple[str, int], int]]:
    """The address and the process of each server whose process can be seen."""
    import psutil

    try:
        return _servers(psutil.net_connections("tcp"))
    except psutil.AccessDenied:  # macOS shows all of them to root alone, and each user his own
        return [each for process in psutil.process_iter() for each in _servers(_connections(process), process.pid)]


def _servers(connections: Iterable[sconn | pconn], owner: int | None = None) -> list[tuple[tuple[str, int], int]]:
    found = []
    for each in connections:
        pid = getattr(each, "pid", owner)
        if each.status == "LISTEN" and each.laddr and pid is not None:
            found.append(((each.laddr.ip, each.laddr.port), pid))
    return found


def _connections(process: Process) -> list[pconn]:
    import psutil

    try:
        return process.net_connections("tcp")
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return []
