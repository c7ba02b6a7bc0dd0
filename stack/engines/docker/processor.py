"""Measure the work of the processes of a container: read from the kernel."""

from __future__ import annotations

from pathlib import Path

from stack.engines.processor import of_processes

_PROC = Path("/proc")


def of_container(process: int, container: str, proc: Path = _PROC) -> float | None:
    """Return what `of_processes` does, for a container; `process` is the pid of its first process.

    None if it can't be known: the daemon is on another machine, and the pid is that of an unrelated process here.
    """
    try:
        if container not in (proc / str(process) / "cgroup").read_text(encoding="utf-8"):
            return None
    except OSError:
        return None
    return of_processes(process)
