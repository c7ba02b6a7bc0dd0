"""What a component can do that compares its data with that of another instance or snapshot, as protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stack.capabilities import Access
from stack.frozen import dataclass

if TYPE_CHECKING:
    from stack.progress import Progress
    from stack.results.differences import ComponentDifference
    from stack.snapshots.archive import Archive
    from stack.snapshots.manifest import Saved


@dataclass(frozen=True)
class Wanted:
    """What is told of differences. `limit`: so many rows, keys or files of each table, database or volume at most.

    `values`: the values of rows too, not only the keys and the names of the columns.
    """

    limit: int
    values: bool


@dataclass(frozen=True)
class Stored:
    """The data of a component in a snapshot."""

    archive: Archive
    saved: Saved


@dataclass(frozen=True)
class Side:
    """One of two that are compared: the data of a component in an instance, or in a snapshot.

    `access`: of a snapshot it reaches a copy into which the snapshot was loaded, if `Differ.loads`. `stored`: the
    snapshot. `differ`: that of the component as this side has it.
    """

    differ: Differ
    access: Access
    stored: Stored | None = None


class Differ(Protocol):
    """Compare the data of a component on two sides. Changes nothing."""

    @property
    def loads(self) -> bool:
        """Whether a server has to serve the data of a snapshot for that."""

    def compare(self, before: Side, after: Side, wanted: Wanted, progress: Progress) -> ComponentDifference:
        """Tell what is added, removed and changed from one side to the other. Raises `query-failed`, `save-failed`."""
