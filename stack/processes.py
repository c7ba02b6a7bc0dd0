"""Describe and end processes by their pid."""

from __future__ import annotations

import contextlib
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_LONGEST = 80
_PROGRAM = "stackctl"


def words_of(process: Process) -> tuple[str, ...]:
    """Return the command line of a process; only its name if it belongs to another user."""
    import psutil

    try:
        return tuple(process.cmdline()) or (process.name(),)
    except psutil.AccessDenied:
        return (process.name(),)


def shortened(words: tuple[str, ...]) -> str:
    """Shorten a command for people: what precedes `stackctl`, such as the path of Python, is left out."""
    names = [PurePath(word).name.removesuffix(".py") for word in words[:3]]
    if _PROGRAM in names:
        words = (_PROGRAM, *words[names.index(_PROGRAM) + 1 :])
    command = " ".join(words)
    return command if len(command) <= _LONGEST else f"{command[:_LONGEST]}…"


def describe(number: int, until: float) -> str | None:
    """Return `` `stackctl up` (process 1234) ``; None unless it runs, and ran at the time `until`."""
    # The import takes 6 ms, so it is lazy.
    import psutil

    try:
        process = psutil.Process(number)
        # The kernel counts in ticks, so allow a second.
        if process.create_time() > until + 1:
            return None
        return f"`{shortened(words_of(process))}` (process {number})"
    except psutil.NoSuchProcess:
        return None


def end(number: int, grace: float) -> bool:
    """Terminate a process, kill it and its children after `grace` seconds, and return whether all are gone."""
    import psutil

    try:
        process = psutil.Process(number)
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.NoSuchProcess:
        return True
    _, left = psutil.wait_procs(family, grace)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    return not any(map(_lives, psutil.wait_procs(left, grace)[1]))


def _lives(process: Process) -> bool:
    """Whether a process runs. A zombie, as in a container without an init, does not."""
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
