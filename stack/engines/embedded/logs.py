"""Read and follow the files that supervisord writes for each component, beyond the ends of their parts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from stack.engines.embedded.start_log import Position

_PARTS = 3  # older parts beside a file; `.1` is the youngest
_INTERVAL = 0.2


def last_lines(path: Path, count: int | None) -> list[str]:
    """Return the last `count` lines of a log (None: all)."""
    lines: list[str] = []
    for part in _parts(path):
        if count is not None and len(lines) >= count:
            break
        try:
            lines = part.read_text(encoding="utf-8", errors="replace").splitlines() + lines
        except FileNotFoundError:
            break
    return lines if count is None else lines[len(lines) - min(count, len(lines)) :]


def lines_from(path: Path, position: Position | None, count: int | None) -> list[str]:
    """Return the last `count` lines of a log (None: all) after a position; all, if the part that it is in is gone."""
    raw = b""
    for part in _parts(path):
        try:
            with part.open("rb") as file:
                here = position is not None and os.fstat(file.fileno()).st_ino == position.inode
                file.seek(position.size if here and position is not None else 0)
                raw = file.read() + raw
        except FileNotFoundError:
            break
        if here:
            break
    lines = raw.decode("utf-8", errors="replace").splitlines()
    return lines if count is None else lines[len(lines) - min(count, len(lines)) :]


def _parts(path: Path) -> list[Path]:
    """Return the parts that a log may have, the youngest first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, _PARTS + 1))]


def last_exit(lines: Iterable[str], name: str) -> int | None:
    """Find the exit code of a program that ended last in supervisord's log, 128 + n if signal n ended it.

    Supervisord itself forgets it when a start fails, and never knew the signal's number.
    """
    ended = re.compile(rf"(?:exited|stopped): {re.escape(name)} \((?:exit status (\d+)|terminated by (SIG\w+))")
    found = [match for line in lines if (match := ended.search(line))]
    if not found:
        return None
    status, name_of_signal = found[-1].groups()
    return int(status) if status else 128 + getattr(signal, name_of_signal, 0)


class _Tail:
    """A log from where it ends now. `read` gives the whole lines that came since, of a new part too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._file = path.open("rb") if path.exists() else None
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[str]:
        raw = self._rest + (self._file.read() if self._file is not None else b"")
        if self._was_replaced():
            raw += self._file.read() if self._file is not None else b""
            self.close()
            self._file = self._path.open("rb")
            raw += self._file.read()
        *lines, self._rest = raw.split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in lines]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _was_replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != now.st_ino


def follow(paths: Iterable[Path], write: Callable[[Path, str], None]) -> NoReturn:
    """Hand each line that comes to `write`, with its log. Never returns; an interrupt ends it."""
    pause = threading.Event()
    with contextlib.ExitStack() as stack:
        tails = {path: stack.enter_context(contextlib.closing(_Tail(path))) for path in paths}
        while True:
            for path, tail in tails.items():
                for line in tail.read():
                    write(path, line)
            pause.wait(_INTERVAL)
