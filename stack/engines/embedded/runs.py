"""Read what `launch` noted: how often a component was started, when, and which process it is now."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# struct flock, whose order is the system's
_LINUX = "hhqqi"
_MACOS = "qqihh"
# The times in a file are rounded.
_TICK = 0.001


@dataclass(frozen=True)
class Position:
    """A place in a log: the inode of the part that it is in, and the bytes before it."""

    inode: int
    size: int


@dataclass(frozen=True)
class Start:
    """A start of a component: when, in seconds of the epoch, and where its log ended then, if that is known."""

    time: float
    log: Position | None


@dataclass(frozen=True)
class Runs:
    """The starts of a component since it was made anew. `process` is the one that lives now, None without any.

    `since` is the time of the last start in seconds of the epoch. `id` is another after it was made anew.
    """

    id: str
    starts: int
    since: float | None
    process: int | None
    all: tuple[Start, ...] = ()

    def start_from(self, time: float) -> Start | None:
        """The first start at that time or later, else the last one; None without any."""
        later = (start for start in self.all if start.time >= time - _TICK)
        return next(later, self.all[-1] if self.all else None)


def read_runs(path: Path) -> Runs:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Runs(path.name, 0, None, None)
    # Closed when the process ends: closing it would give back a lock of our own on the file, and we have none.
    with open(descriptor, encoding="utf-8") as file:
        holder = _holder(descriptor)
        lines = [line.split() for line in file.read().splitlines()]
    whole = [line for line in lines if len(line) in (2, 4)]
    if not whole:
        return Runs(path.name, 0, None, holder)
    starts = tuple(Start(float(time), Position(*map(int, log)) if log else None) for _, time, *log in whole)
    return Runs("-".join([path.name, *whole[0][:2]]), len(whole), starts[-1].time, holder, starts)


def _holder(descriptor: int) -> int | None:
    """The process that holds the lock of a file, as the kernel says."""
    if sys.platform == "darwin":
        asked = struct.pack(_MACOS, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        *_, process, kind, _ = struct.unpack(_MACOS, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack(_LINUX, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, process = struct.unpack(_LINUX, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(process)
