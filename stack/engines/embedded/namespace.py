"""Run commands as the servers' user, in a mount namespace in which that user reaches what it needs.

What the user can't reach outside of it, like a Python below `/root`, is bound over the closed folder. `enter.py`
makes the namespace; this module plans it and builds the command lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from stack.engines.embedded.user import ACCOUNT, RunAs
from stack.errors import StackError
from stack.frozen import dataclass

# Every user can pass through it, so no closed folder is above it.
_STAGING = "/tmp"  # noqa: S108 - a folder in it gets a name that nothing else has
_ENTER = Path(__file__).with_name("enter.py")


@dataclass(frozen=True)
class BindMounts:
    """The paths that are bound over each closed folder; empty if the servers' user reaches everything."""

    over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan_mounts(needed: Iterable[Path]) -> BindMounts:
    """Plan the mounts with which any user reaches each path. Raises `embedded-unreachable` for a closed path."""
    over: dict[str, list[str]] = {}
    for path in _outermost(needed):
        if (closed := _closed_ancestor(path)) is not None:
            over.setdefault(str(closed), []).append(str(path))
        if not _is_open(path):
            raise _unreachable(path, "only its owner may read it")
    return BindMounts({folder: tuple(paths) for folder, paths in over.items()})


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Leave out paths that are inside another one, also through a link."""
    every = dict.fromkeys(step for path in paths for step in _steps(path))
    return [path for path in every if not any(other in path.parents for other in every)]


def _steps(path: Path) -> list[Path]:
    """Return a path and its real path: both have to be reachable."""
    absolute = Path(os.path.abspath(path))
    return [absolute, absolute.resolve()]


def _closed_ancestor(path: Path) -> Path | None:
    """Return the outermost folder above a path that other users can't pass through."""
    return next((folder for folder in reversed(path.parents) if not _mode(folder) & stat.S_IXOTH), None)


def _is_open(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    return _mode(path) & wanted == wanted


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise _unreachable(path, error.strerror or "it can't be read") from error


def _unreachable(path: Path | str, why: str) -> StackError:
    return StackError(
        "embedded-unreachable",
        f"root's servers run as a user without privileges, which can't reach {path}: {why}",
        "use a project folder and a Python that other users can read, or run stackctl as a plain user",
    )


def namespace_refused(stderr: str) -> StackError:
    """Explain that this machine did not let `enter.py` make a mount namespace."""
    return _unreachable("what it needs", f"this machine allows no private view of the files ({stderr.strip()})")


def command_as(command: Sequence[str], folder: Path, run_as: RunAs | None, join: int | None = None) -> list[str]:
    """Return the command line that runs `command` as the servers' user, in the mount namespace of the pid `join`."""
    options: dict[str, Any] = {}
    if join is not None and not _shares_our_namespace(join):
        options = {"join": join, "lines": _account_lines(run_as)}
    return _enter(command, folder, run_as, options)


@contextlib.contextmanager
def command_in_namespace(
    command: Sequence[str], folder: Path, run_as: RunAs | None, mounts: BindMounts, log: Path | None = None
) -> Iterator[list[str]]:
    """Yield the command line that runs `command` as the servers' user in a new mount namespace.

    With `log` it runs detached and writes there. The block has to last until the command runs.
    """
    options: dict[str, Any] = {} if log is None else {"log": str(log)}
    lines = _account_lines(run_as)
    with contextlib.ExitStack() as opened:
        if mounts.over or lines:
            # The mounts are put together here, inside the new namespace: this folder stays empty.
            staging = opened.enter_context(tempfile.TemporaryDirectory(prefix="stackctl-view-", dir=_STAGING))
            options |= {"mounts": mounts.over, "lines": lines, "staging": staging}
        yield _enter(command, folder, run_as, options)


def _account_lines(run_as: RunAs | None) -> dict[str, str]:
    """Return the line that gives an instance's own user its name, and that of its group, by the file."""
    if run_as is None or not run_as.own:
        return {}
    return {
        "/etc/passwd": f"{ACCOUNT}:x:{run_as.user}:{run_as.group}::/:/usr/sbin/nologin",
        "/etc/group": f"{ACCOUNT}:x:{run_as.group}:",
    }


def is_named(pid: int, run_as: RunAs | None) -> bool:
    """Say whether the servers' user has its name in the mount namespace of a process, if it is to have one."""
    try:
        return all(
            line in Path(f"/proc/{pid}/root{file}").read_text(encoding="utf-8", errors="replace").splitlines()
            for file, line in _account_lines(run_as).items()
        )
    except OSError:
        return False


def _enter(command: Sequence[str], folder: Path, run_as: RunAs | None, options: Mapping[str, Any]) -> list[str]:
    user = {} if run_as is None else {"user": [run_as.user, run_as.group]}
    return [sys.executable, "-I", "-S", str(_ENTER), json.dumps({"folder": str(folder), **user, **options}), *command]


def _shares_our_namespace(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return True
