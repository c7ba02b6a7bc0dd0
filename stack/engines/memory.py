"""Measure the memory of processes of this machine: read from the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def of_processes(process: int) -> int | None:
    """Sum the bytes in use by a process and all below it; what they share is counted once. None if it is gone."""
    # 6 ms: only for what needs it.
    import psutil

    try:
        root = psutil.Process(process)
        sizes = [_own(each) for each in (root, *root.children(recursive=True))]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return sum(sizes)


def _own(process: psutil.Process) -> int:
    """Measure what a process takes, with its part of what it shares; Linux alone knows that part."""
    import psutil

    try:
        info = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(info, "pss", info.uss))
