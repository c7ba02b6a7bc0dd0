"""Copy the files of a volume into one of another instance, while what they belong to may serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from stack.errors import StackError
from stack.report import size

# What has to be free besides the copy, for what serves meanwhile; and what is left of that if it takes some.
_RESERVE = 256 * 2**20
LEAST_FREE = _RESERVE // 2


class FileCopy(Protocol):
    """Copies what is in one volume into another, which is new. A folder is relative to the volume, empty for all of it.

    What vanishes meanwhile is left out. Each method raises `branch-failed`, and `disk-full`.
    """

    @property
    def clones(self) -> bool:
        """Whether the file system lets both share what is the same, so that a copy takes neither time nor room."""

    def size(self, leave_out: Collection[str] = ()) -> int:
        """How many bytes are in the volume that is copied, but for these of its folders."""

    @property
    def free(self) -> int | None:
        """How much room is left for the copy, if that is known."""

    def copy(self, folder: str = "", leave_out: Collection[str] = ()) -> None:
        """Copy a folder with all that is in it; of the folders to leave out, which are in it, there are empty ones."""

    def copy_files(self, folder: str, names: Sequence[str]) -> None:
        """Copy these files of a folder, which was copied before."""

    def read(self, path: str) -> str | None:
        """Read a file of the volume that is copied; None if there is none."""

    def write(self, path: str, text: str) -> None:
        """Write a file of the copy."""


OpenCopy = Callable[[str], AbstractContextManager[FileCopy]]
"""Opens the copy of a volume of a component, by the name of the volume."""


def require_space(files: FileCopy, component: str, needed: int) -> None:
    """Raise `disk-full` if there is no room for a copy that does not share what is the same."""
    if not files.clones and files.free is not None and files.free < needed + _RESERVE:
        raise StackError(
            "disk-full",
            f"the copy of {component} needs {size(needed + _RESERVE)}, and {size(files.free)} are free where it "
            "is kept; nothing was changed",
            "make room there, and run this again",
        )


def told(files: FileCopy, component: str, amount: int, while_it: str = "") -> str:
    """Say, before it begins, how a volume is copied."""
    how = "cloning its files, which shares what is the same" if files.clones else "copying its files"
    return f"{component}: {how} ({size(amount)}){while_it}"
