"""Whose processes the servers are, and how they reach their programs.

A plain user's servers are that user's. Those of root never are root's: each instance has a user of its own
(`accounts.py`), and a home outside root's own folders. What that user can't reach from there, like a Python below
`/root`, is bound into a private view of the files that the servers alone have (`enter.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stack.engines.embedded.layout import Home
from stack.errors import StackError
from stack.instance import Instance

# The name of the user of an instance, in its view of the files.
ACCOUNT = "stackctl"
# The homes of root's instances. Root owns this folder and the others may pass through it.
ROOT_HOMES = Path("/var/lib/stackctl")
# Every user reaches it, so no cover hides it.
_STAGING = "/tmp"  # noqa: S108 - a folder in it gets a name that nothing else has
_ENTER = Path(__file__).with_name("enter.py")


@dataclass(frozen=True)
class Identity:
    """The user and group of the servers, if they are not those of the caller.

    `own`: they belong to the one instance, and have a name only in its view of the files.
    """

    user: int
    group: int
    own: bool = False


@contextlib.contextmanager
def acting(identity: Identity | None) -> Iterator[None]:
    """Change files as the servers' user: in a folder that is theirs, root could be led astray by a link."""
    if identity is None:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(identity.group)
    os.seteuid(identity.user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def home_of(instance: Instance) -> Home:
    return replace(home_at(instance.project, instance.state), generations=instance.generations)


def home_at(project: str, state: Path) -> Home:
    """A plain user's lies in the instance's state, with sockets in a short path beside it; root's lies elsewhere."""
    # Not the effective user, which is another in `acting`.
    if (caller := os.getuid()) != 0:
        name = hashlib.sha256(project.encode()).hexdigest()[:10]
        runtime = Path(f"/tmp/stackctl-{caller}-{name}")  # noqa: S108 - made by make_private alone
        return Home(state / "embedded", runtime, state / "secrets")
    folder = ROOT_HOMES / project
    return Home(folder, folder / "run", folder / "secrets")


def make_private(folder: Path, identity: Identity | None) -> None:
    """Make a folder of the servers' user that nobody else can enter, or see that it is one.

    Raises `state-unusable` for a link and for what belongs to somebody else.
    """
    owner = os.geteuid() if identity is None else identity.user
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
            raise StackError(
                "state-unusable",
                f"{folder}: is not a folder of the user that the servers run as",
                "see what it is; stackctl can't use it, and needs this name",
            ) from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.chmod(folder, 0o700)


@dataclass(frozen=True)
class View:
    """What is bound over which folders so that the servers' user reaches it; empty where all is reachable."""

    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan_view(needed: Iterable[Path]) -> View:
    """The covers that let any user reach each path. Raises `embedded-unreachable` for a path that is closed itself."""
    covers: dict[str, list[str]] = {}
    for path in _outermost(needed):
        if (closed := _closed_ancestor(path)) is not None:
            covers.setdefault(str(closed), []).append(str(path))
        if not _is_open(path):
            raise _unreachable(path, "only its owner may read it")
    return View({cover: tuple(paths) for cover, paths in covers.items()})


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie in another of them, nor in what a link leads to."""
    every = dict.fromkeys(step for path in paths for step in _steps(path))
    return [path for path in every if not any(other in path.parents for other in every)]


def _steps(path: Path) -> list[Path]:
    """A path, and where it really is: each has to be reachable."""
    absolute = Path(os.path.abspath(path))
    return [absolute, absolute.resolve()]


def links_of(program: Path) -> list[Path]:
    """A program and each link between its name and its file."""
    found = [program]
    while found[-1].is_symlink():
        found.append(Path(os.path.normpath(found[-1].parent / os.readlink(found[-1]))))
    return found


def _closed_ancestor(path: Path) -> Path | None:
    """The outermost folder on the way that others can't pass through."""
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


def view_refused(said: str) -> StackError:
    """What `enter.py` could not do."""
    return _unreachable("what it needs", f"this machine allows no private view of the files ({said.strip()})")


def enter_command(
    command: Sequence[str],
    folder: Path,
    identity: Identity | None,
    join: int | None = None,
) -> list[str]:
    """The command that runs `command` as the servers' user, in the view of the process `join`."""
    options = {} if join is None or _sees_what_we_see(join) else {"join": join}
    return _entering(command, folder, identity, options)


@contextlib.contextmanager
def entering_view(
    command: Sequence[str], folder: Path, identity: Identity | None, view: View, log: Path | None = None
) -> Iterator[list[str]]:
    """The command that runs `command` as the servers' user in a view of its own; with `log` detached, writing there.

    The block has to last until the command runs.
    """
    options: dict[str, Any] = {} if log is None else {"log": str(log)}
    lines = _account_lines(identity) if identity is not None and identity.own else {}
    with contextlib.ExitStack() as stack:
        if view.covers or lines:
            # Only a place to put it together, in the one namespace that will have it.
            staging = stack.enter_context(tempfile.TemporaryDirectory(prefix="stackctl-view-", dir=_STAGING))
            options |= {"covers": view.covers, "lines": lines, "staging": staging}
        yield _entering(command, folder, identity, options)


def _account_lines(identity: Identity) -> dict[str, str]:
    return {
        "/etc/passwd": f"{ACCOUNT}:x:{identity.user}:{identity.group}::/:/usr/sbin/nologin",
        "/etc/group": f"{ACCOUNT}:x:{identity.group}:",
    }


def _entering(command: Sequence[str], folder: Path, identity: Identity | None, options: Mapping[str, Any]) -> list[str]:
    user = {} if identity is None else {"user": [identity.user, identity.group]}
    return [sys.executable, "-I", "-S", str(_ENTER), json.dumps({"folder": str(folder), **user, **options}), *command]


def _sees_what_we_see(process: int) -> bool:
    try:
        return os.readlink(f"/proc/{process}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return True
