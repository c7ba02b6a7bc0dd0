"""Ask before something is deleted or replaced."""

from __future__ import annotations

from collections.abc import Callable

Confirm = Callable[[str], bool]
"""Shows what will be done and asks; raises `StackError` if there is no terminal to answer on."""
