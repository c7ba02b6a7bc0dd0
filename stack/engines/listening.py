"""See where processes listen: read from the kernel, without a command in their container."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_PROC = Path("/proc")
_LISTEN = "0A"
# Docker's own name server in each container.
_RESOLVER = "127.0.0.11"


def of_container(process: int, container: str, proc: Path = _PROC) -> frozenset[tuple[str, int]] | None:
    """The addresses and ports in the network of a container, by its first process.

    None if that can't be known: the daemon is elsewhere, and then the number is that of some process of ours.
    """
    try:
        if container not in (proc / str(process) / "cgroup").read_text(encoding="utf-8"):
            return None
        tables = [(proc / str(process) / "net" / name).read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    except OSError:
        return None
    found = frozenset(each for table in tables for each in _listeners(table))
    return frozenset((address, port) for address, port in found if address != _RESOLVER)


def _listeners(table: str) -> list[tuple[str, int]]:
    """Those of `/proc/net/tcp`: `  0: 0100007F:1F90 00000000:0000 0A …`, each word of an address in this byte order."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return [(_address(row[1][:-5]), int(row[1][-4:], 16)) for row in rows if len(row) > 3 and row[3] == _LISTEN]


def _address(text: str) -> str:
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def of_processes(process: int) -> frozenset[tuple[str, int]] | None:
    """The addresses and ports of a process and all below it. None when it is gone or can't be seen."""
    # 6 ms: only for what needs it.
    import psutil

    try:
        root = psutil.Process(process)
        return frozenset(each for one in (root, *root.children(recursive=True)) for each in _of_process(one))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _of_process(process: Process) -> list[tuple[str, int]]:
    import psutil

    try:
        found = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return []
    return [(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN and each.laddr]
