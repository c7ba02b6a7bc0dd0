"""Measure the work of processes of this machine: read from the kernel."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_PROC = Path("/proc")


def of_processes(process: int) -> float | None:
    """Return the seconds that a process and all below it have taken a processor, or waited for one. None if it is gone.

    On a busy machine what loads may get little of a processor; so on Linux the wait for one counts too.
    """
    # 6 ms: only for what needs it.
    import psutil

    try:
        root = psutil.Process(process)
        return sum(_of_process(each) for each in (root, *root.children(recursive=True)))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _of_process(process: Process) -> float:
    times = process.cpu_times()
    # What ended below it counts as well, and not only until it ended.
    ended = float(times.children_user + times.children_system)
    return ended + (_of_threads(process.pid) or float(times.user + times.system))


def _of_threads(process: int) -> float:
    """Add up `schedstat`: the nanoseconds that each thread ran, and those that it waited on a run queue.

    It is 0 for a process that has ended, and where the kernel does not tell.
    """
    threads, total = _PROC / str(process) / "task", 0
    with contextlib.suppress(OSError):  # the process ended
        for thread in os.listdir(threads):
            with contextlib.suppress(OSError):  # the thread ended
                ran, waited, _ = (threads / thread / "schedstat").read_text(encoding="ascii").split()
                total += int(ran) + int(waited)
    return total / 1e9
