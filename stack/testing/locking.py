"""A lock that each process of a run of tests holds while it uses the instance."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def lock_file(name: str) -> Path:
    """Return the file that is locked for an instance."""
    return Path(tempfile.gettempdir()) / f"stackctl-{os.getuid()}-{name}.lock"


@contextlib.contextmanager
def shared_lock(name: str) -> Iterator[None]:
    """Hold a lock that any number may hold, and that ends with the process. It waits for a deletion to end."""
    path = lock_file(name)
    while True:
        with path.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            # A deletion that ended just now has taken the name of this file away.
            if path.exists() and path.stat().st_ino == os.fstat(held.fileno()).st_ino:
                yield
                return
