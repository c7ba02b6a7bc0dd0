"""Read the log that `launch` keeps of a component's starts: how many there were, when, and the pid that runs now."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

from stack.frozen import dataclass

# struct flock: each system orders its fields differently.
_LINUX = "hhqqi"
_MACOS = "qqihh"
# The times in a file are rounded.
_TICK = 0.001
# In so many words at the beginning of a command the name of its script is found.
_WORDS_OF_PYTHON = 5


@dataclass(frozen=True)
class Position:
    """A place in a log: the inode of the part that it is in, and its offset there."""

    inode: int
    size: int


@dataclass(frozen=True)
class Start:
    """A start of a component: its time (epoch), and where the component's log ended then, if that is known."""

    time: float
    log: Position | None


@dataclass(frozen=True)
class StartLog:
    """The starts of a component since it was created or recreated, which gives it another `id`.

    `pid`: the process that runs now, None if none does. `since`: the time of the last start (epoch).
    """

    id: str
    starts: int
    since: float | None
    pid: int | None
    all: tuple[Start, ...] = ()

    def start_from(self, time: float) -> Start | None:
        """Return the first start at that time or later, else the last one; None if there was no start."""
        later = (start for start in self.all if start.time >= time - _TICK)
        return next(later, self.all[-1] if self.all else None)


def read_start_log(path: Path) -> StartLog:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return StartLog(path.name, 0, None, None)
    # Closing a file releases all locks that this process has on it; stackctl never locks a start log.
    with open(descriptor, encoding="utf-8") as file:
        pid = _lock_owner(descriptor)
        lines = [line.split() for line in file.read().splitlines()]
    whole = [line for line in lines if len(line) in (2, 4)]
    if not whole:
        return StartLog(path.name, 0, None, pid)
    starts = tuple(Start(float(time), Position(*map(int, log)) if log else None) for _, time, *log in whole)
    return StartLog("-".join([path.name, *whole[0][:2]]), len(whole), starts[-1].time, pid, starts)


def is_program(pid: int | None) -> bool:
    """Say whether the process is a component's program, and not still `launch`, which the program then replaces.

    There is no pid while a view of the file system is made for it. Without /proc it is taken for the program.
    """
    if pid is None:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    return not any(word.endswith(b"/launch.py") for word in words[:_WORDS_OF_PYTHON])


def _lock_owner(descriptor: int) -> int | None:
    """Ask the kernel for the pid that has the lock of a file."""
    if sys.platform == "darwin":
        asked = struct.pack(_MACOS, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        *_, pid, kind, _ = struct.unpack(_MACOS, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack(_LINUX, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = struct.unpack(_LINUX, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)
