"""Find and end processes that components left running, like those that they put into the background."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.engines.embedded.launch import MARK, marked_processes


def belonging() -> Iterator[tuple[int, Path]]:
    """Yield each visible process of a component, with the path of its start log: HOME/runs/NAME."""
    if sys.platform == "linux":
        found: Iterator[tuple[int, str]] = marked_processes()
    else:
        found = _elsewhere()
    for process, run in found:
        yield process, Path(run)


def _elsewhere() -> Iterator[tuple[int, str]]:
    import psutil

    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if run := each.environ().get(MARK):
                yield each.pid, run


def end_strays(runs: Path, has_ended: Callable[[str], bool]) -> bool:
    """Kill the processes of those components of an instance that have ended. Return whether there were any."""
    strays = [process for process, run in belonging() if run.parent == runs and has_ended(run.name)]
    for process in strays:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return bool(strays)


def homeless(owned: Callable[[int], bool] | None = None) -> dict[Path, dict[int, str]]:
    """Return the processes of each home that was deleted, with the names of their components.

    `owned` says whether to include the processes of a user.
    """
    # 6 ms: only for what needs it.
    import psutil

    found: dict[Path, dict[int, str]] = {}
    for process, run in belonging():
        home = run.parent.parent
        with contextlib.suppress(psutil.NoSuchProcess):
            if not home.is_dir() and (owned is None or owned(psutil.Process(process).uids().effective)):
                found.setdefault(home, {})[process] = run.name
    return found
