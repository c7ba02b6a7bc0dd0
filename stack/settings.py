"""The one reader of environment variables: what a user chose, as a frozen value."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

import platformdirs

from stack.errors import UsageError
from stack.frozen import dataclass
from stack.worktrees import find_checkout

PLAYGROUND = Path(__file__).with_name("playground.py")
STATE_FOLDER = ".stackctl"
# The stack file of a folder, if none is named. Not `stack.py`, which `from stack import …` in it would mean for a type
# checker and an editor.
STACK_FILE = "stackfile.py"
# No instance can have this name.
_REGISTRY = ".instances"
# What marks a folder as a project; the state of the default stack then lives in it.
_PROJECT_MARKS = (STATE_FOLDER, "pyproject.toml", ".git")


@dataclass(frozen=True)
class Chosen:
    """A parameter of the command line. `visible`: its value stood there, where every user of the machine sees it."""

    value: str = field(repr=False)
    visible: bool


@dataclass(frozen=True)
class Settings:
    """What holds for one run of a command.

    `file` is the stack file, `instance` the name of the instance (None: that of the stack), `state_root` the
    folder that holds a folder for each instance, `engine` the name of the engine that was asked for (None: whichever
    fits), `registry` the folder that lists this user's instances, `file_limit` the seconds that the stack
    file may run (None: as long as usual), `variables` the environment, from which parameters are taken, `chosen` those
    of the command line, `host` the server that was asked for, as it was typed (None: none was), and `images` the
    registry for images that are built. `worktree`: the name of the Git worktree that the stack file is in, in the
    letters of an instance's; None for the main checkout.
    """

    file: Path
    instance: str | None
    state_root: Path
    engine: str | None = None
    registry: Path = field(default_factory=lambda: platformdirs.user_state_path("stackctl") / _REGISTRY)
    file_limit: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    images: str | None = None
    host: str | None = None
    worktree: str | None = None

    @classmethod
    def read(
        cls,
        environment: Mapping[str, str],
        folder: Path,
        file: Path | None = None,
        instance: str | None = None,
        engine: str | None = None,
        host: str | None = None,
    ) -> Settings:
        """Options first, then `STACKCTL_FILE`, `STACKCTL_INSTANCE`, `STACKCTL_STATE`, `STACKCTL_ENGINE`,
        `STACKCTL_HOST`, `STACKCTL_FILE_TIMEOUT` and `STACKCTL_REGISTRY`, then the defaults: the file `stackfile.py` in
        `folder`, else the playground.

        Raises `UsageError` for what is no number of seconds.
        """
        chosen = file or _path(environment, "STACKCTL_FILE") or _stack_file(folder)
        project = _whole(folder / chosen).parent if chosen else folder
        where = _path(environment, "STACKCTL_STATE") or _default_state_root(folder, chosen)
        return cls(
            file=_whole(folder / chosen) if chosen else PLAYGROUND,
            instance=instance or environment.get("STACKCTL_INSTANCE") or None,
            state_root=_whole(folder / where),
            engine=_engine(engine or environment.get("STACKCTL_ENGINE")),
            host=host or environment.get("STACKCTL_HOST") or None,
            file_limit=_seconds(environment, "STACKCTL_FILE_TIMEOUT"),
            variables=dict(environment),
            images=environment.get("STACKCTL_REGISTRY") or None,
            worktree=checkout.name if (checkout := find_checkout(project)) else None,
        )


def _stack_file(folder: Path) -> Path | None:
    return Path(STACK_FILE) if (folder / STACK_FILE).is_file() else None


def _engine(chosen: str | None) -> str | None:
    return None if chosen in (None, "", "auto") else chosen


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    return Path(value).expanduser() if value else None


def _whole(path: Path) -> Path:
    """The path without links. A link to itself stays, and is told by what opens it.

    Raises `UsageError` for a path that no configuration can name.
    """
    whole = os.path.realpath(path)
    try:
        whole.encode()
    except UnicodeEncodeError:
        problem = f"the path {whole!r} holds a byte that is not UTF-8, which no engine's configuration can name"
        raise UsageError(problem, "rename that folder or file") from None
    return Path(whole)


def _seconds(environment: Mapping[str, str], name: str) -> float | None:
    value = environment.get(name)
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise UsageError(f"{name} is {value!r}, which is not a number of seconds", f"for example: {name}=60")
    return seconds


def _default_state_root(folder: Path, file: Path | None) -> Path:
    """Beside a stack file; for the playground in the project around `folder`, else in the user's state folder."""
    if file is not None:
        return _whole(folder / file).parent / STATE_FOLDER
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in _PROJECT_MARKS):
            return candidate / STATE_FOLDER
    return platformdirs.user_state_path("stackctl")
