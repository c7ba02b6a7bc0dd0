"""Find where processes of this machine listen: read from the kernel."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process


def of_processes(process: int, others: Collection[int] = ()) -> frozenset[tuple[str, int]] | None:
    """Find the addresses and ports of a process and all below it, and of others that belong to it.

    None if it is gone or can't be seen.
    """
    # 6 ms: only for what needs it.
    import psutil

    try:
        root = psutil.Process(process)
        below = [root, *root.children(recursive=True)]
        beside = [psutil.Process(other) for other in {*others}.difference(each.pid for each in below)]
        return frozenset(each for one in (*below, *beside) for each in _of_process(one))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _of_process(process: Process) -> list[tuple[str, int]]:
    import psutil

    try:
        found = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return []
    return [(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN and each.laddr]
