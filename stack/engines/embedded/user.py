"""Act as the user that the servers run as.

The servers of a plain user run as that user. Those of root never run as root: each instance has a user of its own
(`accounts.py`), and files in its home are changed with that user's rights only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stack.errors import StackError
from stack.frozen import dataclass

# The name of an instance's own user, in the mount namespace of that instance (`namespace.py`).
ACCOUNT = "stackctl"


@dataclass(frozen=True)
class RunAs:
    """The user and group that the servers run as, if those are not the caller's.

    `own`: they belong to this instance alone, and have a name only in its mount namespace.
    """

    user: int
    group: int
    own: bool = False


@contextlib.contextmanager
def acting_as(run_as: RunAs | None) -> Iterator[None]:
    """Change files with the rights of the servers' user: in a folder of that user, a link could mislead root."""
    if run_as is None:
        yield
        return
    groups = os.getgroups()
    try:
        # What cleans up after Ctrl-C may begin before the way back that it cut off has ended.
        os.seteuid(0)
        os.setgroups([])
        os.setegid(run_as.group)
        os.seteuid(run_as.user)
        yield
    finally:
        _become_root(groups)


@contextlib.contextmanager
def returning() -> Iterator[None]:
    """Have the caller's rights again after the block, in which there is `acting_as`.

    Ctrl-C may cut off that itself, on its way in or out: the more often the block acts, the more likely.
    """
    groups = os.getgroups()
    try:
        yield
    finally:
        if os.getuid() == 0:
            _become_root(groups)


def _become_root(groups: list[int]) -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)


def make_private(folder: Path, run_as: RunAs | None) -> None:
    """Make a folder that only the servers' user can enter, or check that it is one.

    Raises `state-unusable` for a link and for what belongs to another user.
    """
    owner = os.geteuid() if run_as is None else run_as.user
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
