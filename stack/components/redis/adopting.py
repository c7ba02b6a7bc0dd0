"""Turn the files of a Redis that saves from time to time into those of one that keeps a log. Pure.

A server with a log reads nothing else. What it would have saved is the base of a log that has nothing more.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO

_SAVED = "dump.rdb"
_LOGS = "appendonly"
_FOLDER = "appendonlydir"
_BASE = "appendonly.aof.1.base.rdb"
_MANIFEST = ("appendonly.aof.manifest", f"file {_BASE} seq 1 type b\n".encode())
_CHUNK = 64 * 1024


def with_log(source: IO[bytes]) -> Iterator[bytes]:
    """Give the tar of a data folder, in which what was saved has the place of a log if there is none.

    The entries of the tar are in the order of their names, so that a log comes before what was saved.
    """
    logged = False
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            logged = logged or name.startswith(_LOGS)
            if name == _SAVED and entry.isreg() and not logged:
                yield from _log_of(entry)
                entry.name = f"{_FOLDER}/{_BASE}"
            yield _header(entry)
            if entry.isreg() and (content := tar.extractfile(entry)) is not None:
                while chunk := content.read(_CHUNK):
                    yield chunk
                yield _padding(entry.size)
    while source.read(_CHUNK):
        # What writes the tar waits until all of it is read.
        continue
    yield bytes(2 * tarfile.BLOCKSIZE)


def _log_of(saved: tarfile.TarInfo) -> Iterator[bytes]:
    """Give the folder of a log and the list of what it consists of, which belong to whom the saved file does."""
    folder, listed = tarfile.TarInfo(_FOLDER), tarfile.TarInfo(f"{_FOLDER}/{_MANIFEST[0]}")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o700
    listed.mode, listed.size = 0o600, len(_MANIFEST[1])
    for entry in (folder, listed):
        entry.uid, entry.gid, entry.mtime = saved.uid, saved.gid, saved.mtime
        yield _header(entry)
    yield _MANIFEST[1] + _padding(listed.size)


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
