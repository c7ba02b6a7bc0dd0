"""The SQL files that a database is made with: each runs once, when the database is new."""

from __future__ import annotations

import gzip
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.migrations import NO_TRANSACTION

_CHUNK = 2**16
_PACKED = ".gz"
_REFUSED = {
    ".sh": "is a shell script, and the server has no shell for it; let a component do it that uses the database, and "
    "keep SQL alone here",
    ".xz": "is packed with xz; pack it with gzip",
    ".zst": "is packed with zstd; pack it with gzip",
}


@dataclass(frozen=True)
class InitialFile:
    """One of these files; it may be large, and is read when it runs."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def mark(self) -> str:
        """Tell this content of the file from another."""
        found = self.path.stat()
        return f"{self.name} {found.st_size} {found.st_mtime_ns}"

    def whole(self) -> bool:
        """Whether it runs in one transaction."""
        with self._opened() as file:
            return file.readline(_CHUNK).removeprefix(BOM_UTF8).strip() != NO_TRANSACTION.encode()

    def chunks(self) -> Iterator[bytes]:
        """Read its SQL. Raises `OSError`, `EOFError` and `zlib.error`."""
        with self._opened() as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _opened(self) -> IO[bytes]:
        return cast("IO[bytes]", gzip.open(self.path)) if self.path.suffix == _PACKED else open(self.path, "rb")


def read_initial(folder: Path, where: str) -> tuple[InitialFile, ...]:
    """List the SQL files of a folder, in the order of their names. `where` is the path of the field that declares it.

    Raises `DeclarationError` if it is not a folder, or has a file that would be left out without a word.
    """
    try:
        names = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DeclarationError(where, f"{error.filename or folder}: {error.strerror}") from error
    for path in names:
        if path.suffix in _REFUSED:
            raise DeclarationError(where, f"{path.name} {_REFUSED[path.suffix]}")
    return tuple(InitialFile(path) for path in names if path.name.endswith((".sql", f".sql{_PACKED}")))
