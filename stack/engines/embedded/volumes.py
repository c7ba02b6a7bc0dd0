"""The folders that hold the data of an embedded instance."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path


def is_volume(folder: Path) -> bool:
    """Whether a folder holds data, under its own name: one that is being made or deleted has another."""
    with contextlib.suppress(OSError):
        return not folder.name.startswith(".") and folder.is_dir() and any(folder.iterdir())
    return False


def discard(folder: Path) -> None:
    """Delete a data folder atomically: rename it first, so that a partial delete never has its name.

    The next `initdb` removes what is left of one.
    """
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    folder.rename(gone)
    shutil.rmtree(gone)
