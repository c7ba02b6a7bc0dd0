"""What the kernel tells of a process, by its number."""

from __future__ import annotations

import contextlib
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_LONGEST = 80
_PROGRAM = "stackctl"


def words_of(process: Process) -> tuple[str, ...]:
    """Its command line; its name alone where the rest is another user's."""
    import psutil

    try:
        return tuple(process.cmdline()) or (process.name(),)
    except psutil.AccessDenied:
        return (process.name(),)


def shortened(words: tuple[str, ...]) -> str:
    """A command for people. What came before `stackctl` is left out: everybody has another Python."""
    names = [PurePath(word).name.removesuffix(".py") for word in words[:3]]
    if _PROGRAM in names:
        words = (_PROGRAM, *words[names.index(_PROGRAM) + 1 :])
    command = " ".join(words)
    return command if len(command) <= _LONGEST else f"{command[:_LONGEST]}…"


def describe(number: int, until: float) -> str | None:
    """`` `stackctl up` (process 1234) ``; None unless it was there by that time of the epoch, and still is."""
    # 6 ms: only for what needs it.
    import psutil

    try:
        process = psutil.Process(number)
        # The kernel counts in ticks.
        if process.create_time() > until + 1:
            return None
        return f"`{shortened(words_of(process))}` (process {number})"
    except psutil.NoSuchProcess:
        return None


def end(number: int, grace: float) -> bool:
    """Ask a process to end, and kill it with all that it started after so many seconds. Whether all are gone."""
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
    """What ended and was not reaped, as in a container without an init, does no more harm."""
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
