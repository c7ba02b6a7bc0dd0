"""The files of snapshots that are not whole yet. Every command that changes an instance looks for them: it is quick."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from pathlib import Path

SUFFIX = ".zip"
# Beside the instances; no instance can have this name.
FOLDER = ".snapshots"
_PARTIAL = re.compile(rf"\..+{re.escape(SUFFIX)}\.[0-9a-f]{{8}}")


def shelf_folder(state_root: Path, instance: str) -> Path:
    """Where the snapshots of an instance are."""
    return state_root / FOLDER / instance


def partial_path(path: Path) -> Path:
    """A file beside the place that it is for, with a name that no other has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def remove_partial(state_root: Path, instance: str) -> None:
    """Delete what a command left that was killed while it saved. Hold the lock of the instance: then none is written.

    What can't be deleted is no reason for the command to fail.
    """
    with suppress(OSError):
        for path in shelf_folder(state_root, instance).iterdir():
            if _PARTIAL.fullmatch(path.name):
                path.unlink()
