"""Name an instance: as it was asked for, else after its stack and the worktree that it is in."""

from __future__ import annotations

import hashlib
import re

from stack.errors import UsageError
from stack.model import Stack
from stack.settings import Settings
from stack.state import State

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_LONGEST_NAME = 31
_MARK = 6


def instance_name(settings: Settings, stack: Stack) -> str:
    """Return the name of the instance that the settings mean. Raises `UsageError` if it can be none."""
    name = settings.instance or default_name(settings, stack)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for an instance", "use a-z, 0-9 and -, at most 31 characters")
    return name


def default_name(settings: Settings, stack: Stack) -> str:
    """Return the name of the instance if none was asked for: that of the stack, and in a Git worktree with its name.

    So two checkouts share no data by accident, wherever their states are. One that has an instance called after its
    stack alone keeps it.
    """
    if settings.worktree is None:
        return stack.name
    name = f"{stack.name}-{settings.worktree}"
    if len(name) > _LONGEST_NAME:
        mark = hashlib.sha256(name.encode()).hexdigest()[:_MARK]
        name = f"{name[: _LONGEST_NAME - _MARK - 1].rstrip('-')}-{mark}"
    earlier = State(settings.state_root / stack.name)
    return stack.name if earlier.exists() and not State(settings.state_root / name).exists() else name
