"""Write copies of what components find in their containers, and remove those that nothing uses any more."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from stack.contents import Content, Entry
from stack.files import explaining, write_bytes

_HINT = "check the folder's permissions and free space"
# A component's user is another than the owner of the copy, and no component changes it.
_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o444, 0o555, 0o755


def write_copy(path: Path, content: Content) -> None:
    """Write a file or a folder whole or not at all, unless there is one: its name says what it holds.

    Raises `state-unusable`.
    """
    with explaining("state-unusable", path, _HINT):
        if path.exists():
            return
        if not content.is_folder:
            _write(path, content.entries[0])
            return
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        _make(partial)
        for entry in content.entries:
            file = partial / entry.path
            for folder in reversed(file.relative_to(partial).parents[:-1]):
                _make(partial / folder)
            _write(file, entry)
        partial.rename(path)


def keep_copies(folder: Path, names: Collection[str]) -> None:
    """Remove the copies of other names, and what a killed command left."""
    if not folder.is_dir():
        return
    with explaining("state-unusable", folder, _HINT, inside=True):
        for path in folder.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(_FOLDER_MODE)


def _write(path: Path, entry: Entry) -> None:
    write_bytes(path, entry.data, _PROGRAM_MODE if entry.executable else _MODE)
