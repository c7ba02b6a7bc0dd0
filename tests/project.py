"""A project of a user: a folder with a stack file and the sources of its apps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def make_project(folders: pytest.TempPathFactory, name: str, files: Mapping[str, str]) -> Path:
    """Return a new folder with these files, by their paths in it, which the users of containers can read too."""
    folder = folders.mktemp(name)
    folder.chmod(0o755)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return files as they are called from one folder above."""
    return {f"{folder}/{name}": text for name, text in files.items()}
