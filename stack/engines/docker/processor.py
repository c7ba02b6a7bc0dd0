"""Measure the work of the processes of a container: read from the kernel."""

from __future__ import annotations

from pathlib import Path

from stack.engines.docker.pids import PROC, is_of
from stack.engines.processor import of_processes


def of_container(process: int, container: str, proc: Path = PROC) -> float | None:
    """Return what `of_processes` does, for a container; `process` is the pid of its first process.

    None if it can't be known: the daemon is on another machine, and the pid is that of an unrelated process here.
    """
    return of_processes(process) if is_of(process, container, proc) else None
