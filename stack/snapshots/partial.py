"""The files of snapshots that are not whole yet. Every command that changes an instance looks for them: it is quick."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from stack.files import final_name

SUFFIX = ".zip"
# Beside the instances; no instance can have this name.
FOLDER = ".snapshots"


def snapshots_folder(state_root: Path, instance: str) -> Path:
    """Where the snapshots of an instance are."""
    return state_root / FOLDER / instance


def remove_partial(state_root: Path, instance: str) -> None:
    """Delete what a command left that was killed while it saved. Hold the lock of the instance: then none is written.

    What can't be deleted is no reason for the command to fail.
    """
    with suppress(OSError):
        for path in snapshots_folder(state_root, instance).iterdir():
            if (name := final_name(path.name)) and name.endswith(SUFFIX):
                path.unlink()
