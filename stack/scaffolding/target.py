"""Where `init` writes a stack file, and what to type next."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from stack.errors import UsageError
from stack.settings import STACK_FILE


def check_target(target: Path, force: bool) -> None:
    """Raise `UsageError` for a folder, for a file in none, and unless `force` for what exists."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder", f"name the file: --output {target / STACK_FILE}")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", f"make it: mkdir -p {shlex.quote(str(target.parent))}")
    if os.path.lexists(target) and not force:
        raise target_exists(target)


def target_exists(target: Path) -> UsageError:
    return UsageError(f"{target} exists, and stays as it is", "say --force to replace it, or --output FILE")


def next_commands(target: Path, folder: Path) -> tuple[str, str]:
    """Return what to type in a folder to look at the stack of a file there, and to start it."""
    plain = target == folder / STACK_FILE
    file = "" if plain else f"--file {shlex.quote(os.path.relpath(target, folder))} "
    return f"stackctl {file}plan", f"stackctl {file}up"
