"""Tell one-off commands that run from those whose stackctl is gone, by a lock that it holds while it lives."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from stack.locks import attempt
from stack.state import State

_FOLDER = "runs"
# No component has a dot in its name.
_MARK = ".run-"


def new_name(component: str) -> str:
    """Name a one-off command: `web.run-5c1f0a9e`."""
    return f"{component}{_MARK}{secrets.token_hex(4)}"


def is_one_off(name: str) -> bool:
    return _MARK in name


@contextlib.contextmanager
def held(state: Path, name: str) -> Iterator[None]:
    """Let others know for the block that the command of this name is in use. The end of this process ends that too."""
    State(state).make_folder(_FOLDER)
    path = _lock(state, name)
    with attempt(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_left(state: Path, name: str) -> bool:
    """Say whether the stackctl that ran a command is gone, however it ended."""
    path = _lock(state, name)
    if not path.exists():
        return True
    with attempt(path) as free:
        if free:
            path.unlink(missing_ok=True)
        return free


def is_held(state: Path, name: str) -> bool:
    """Say whether a command of this name is in use; change nothing."""
    path = _lock(state, name)
    if not path.exists():
        return False
    with attempt(path) as free:
        return not free


def _lock(state: Path, name: str) -> Path:
    return state / _FOLDER / name
