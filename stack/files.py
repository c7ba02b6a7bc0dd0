"""Write files atomically: the name of a file leads to the whole new content, or to what was there before.

A process that is killed while it writes leaves at most a hidden file beside the name: `.NAME.0a1b2c3d`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from stack.errors import StackError

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}")


class NewFile:
    """A file that is written through `stream` and gets its name with `commit`; without it nothing of it remains.

    Use it as a context manager. It raises `OSError`.
    """

    stream: IO[bytes]

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")

    def __enter__(self) -> Self:
        self.stream = open(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode), "wb")
        return self

    def __exit__(self, *_: object) -> None:
        # Closing writes what is buffered. After `commit` that is nothing, and before it the content is thrown away.
        with contextlib.suppress(OSError):
            self.stream.close()
        self._partial.unlink(missing_ok=True)

    def commit(self, *, sync_folder: bool = False) -> None:
        """Give the file its name once its content is on the disk; with `sync_folder` wait for the name too."""
        self.stream.flush()
        # The umask took its part of the mode away.
        os.fchmod(self.stream.fileno(), self._mode)
        os.fsync(self.stream.fileno())
        self.stream.close()
        self._partial.replace(self._path)
        if sync_folder:
            _sync(self._path.parent)


@contextlib.contextmanager
def writing(path: Path, mode: int = 0o600, *, sync_folder: bool = False) -> Iterator[IO[bytes]]:
    """Write a file through a stream. It gets its name at the end of the block, unless the block raises."""
    with NewFile(path, mode) as new:
        yield new.stream
        new.commit(sync_folder=sync_folder)


def write_bytes(path: Path, content: bytes, mode: int = 0o600, *, sync_folder: bool = False) -> None:
    """Write a file whole or not at all. Raises `OSError`."""
    with writing(path, mode, sync_folder=sync_folder) as stream:
        stream.write(content)


def write_text(path: Path, text: str, mode: int = 0o600, *, sync_folder: bool = False) -> None:
    """Write UTF-8 whole or not at all; names of files that are not UTF-8 keep their bytes. Raises `OSError`."""
    write_bytes(path, _encoded(text), mode, sync_folder=sync_folder)


def update_text(path: Path, text: str, mode: int = 0o600) -> bool:
    """Write a file unless it has this content and mode already. Return whether it was written. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == _encoded(text) and stat.S_IMODE(path.stat().st_mode) == mode:
            return False
    write_text(path, text, mode)
    return True


def final_name(partial: str) -> str | None:
    """Return the name that a partial file was to get; None if this is not the name of a partial file."""
    found = _PARTIAL.fullmatch(partial)
    return found[1] if found else None


@contextlib.contextmanager
def explaining(code: str, path: Path, hint: str, *, inside: bool = False) -> Iterator[None]:
    """Turn an `OSError` of the block into a `StackError` about `path`: `disk-full` if it is that, else `code`.

    With `inside`, `path` is a folder, and the error is about the file in it that the system names, if it names one.
    """
    try:
        yield
    except OSError as error:
        named = error.filename if inside else None
        problem = f"{named or path}: {error.strerror or error}"
        if is_full(error):
            raise StackError("disk-full", problem, "make room there, and run this again") from error
        raise StackError(code, problem, hint) from error


def is_full(error: OSError) -> bool:
    """Say whether there was no room for what was to be written, on the disk or for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
