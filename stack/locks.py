"""Kernel locks on files. One process at a time holds a lock; it is released when that process ends in any way."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """Try to lock a file for the block, and yield whether that succeeded. The file is created if needed.

    On a read-only file system an existing file can be locked too.

    The lock's owner may delete the file before it releases the lock. Then the path is unlocked, and a lock on the
    deleted file does not count.
    """
    descriptor = _open(path)
    try:
        yield _is_locked(descriptor) and _is_at(path, descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
