"""What the commands report that save, restore, dump, load and upgrade data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from stack.frozen import dataclass
from stack.results.lifecycle import UpResult
from stack.snapshots.manifest import Reason


@dataclass(frozen=True)
class SavedTable:
    """One table in a snapshot.

    `table`: its name, or the path of a file.
    `rows`: how many rows it has.
    `checksum`: a checksum of all rows, in any order.
    """

    table: str
    rows: int
    checksum: str


@dataclass(frozen=True)
class SavedComponent:
    """The data of one component in a snapshot.

    `format`: the kind of data and its format, such as `postgres/1`.
    `version`: the version of the server that it was saved from.
    `databases`: the tables of each database.
    """

    format: str
    version: str
    databases: Mapping[str, tuple[SavedTable, ...]]


@dataclass(frozen=True)
class SnapshotContent:
    """A snapshot.

    `name`: its name.
    `reason`: `asked`; `adopt` if it is of a Compose project; or the command before which it was saved.
    `made`: when it was saved, ISO 8601.
    `instance`: the instance that it was saved from.
    `stack`: the stack of that instance.
    `engine`: the engine of that instance.
    `rows`: how many rows it has in all.
    `components`: the data of each component, and of each volume that components share.
    """

    name: str
    reason: Reason
    made: datetime
    instance: str
    stack: str
    engine: str
    rows: int
    components: Mapping[str, SavedComponent]


@dataclass(frozen=True)
class _At:
    """A file.

    `path`: its path.
    """

    path: Path


@dataclass(frozen=True)
class _Sized(_At):
    """A file, and its size.

    `bytes`: its size in bytes.
    """

    bytes: int


# The fields of the last base come first.
@dataclass(frozen=True)
class SnapshotSaved(SnapshotContent, _Sized):
    """A snapshot that was saved.

    `unsaved`: the volumes that it does not have, because they are declared with backup=False.
    """

    unsaved: tuple[str, ...]


@dataclass(frozen=True)
class SnapshotShown(SnapshotContent, _At):
    """A snapshot, after every byte of it was checked."""


@dataclass(frozen=True)
class ListedSnapshot(SnapshotContent):
    """A snapshot in the list.

    `path`: its file.
    `bytes`: the size of the file in bytes.
    """

    path: Path
    bytes: int


@dataclass(frozen=True)
class UnusableSnapshot:
    """A snapshot in the list that can't be read.

    `problem`: why.
    `name`: its name.
    `path`: its file.
    `bytes`: the size of the file in bytes.
    """

    problem: str
    name: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class SnapshotList:
    """The snapshots of an instance, the newest first.

    `bytes`: the size of all files in bytes.
    `snapshots`: each snapshot.
    """

    bytes: int
    snapshots: tuple[ListedSnapshot | UnusableSnapshot, ...]


@dataclass(frozen=True)
class SnapshotDeleted:
    """A snapshot that was deleted.

    `name`: its name.
    `bytes`: the size of its file in bytes.
    """

    name: str
    bytes: int


@dataclass(frozen=True)
class RestoreResult:
    """An instance that has the data of a snapshot.

    `instance`: its name.
    `snapshot`: the name of the snapshot.
    `rows`: how many rows were restored.
    `up`: what `up` reports of the instance with this data.
    """

    instance: str
    snapshot: str
    rows: int
    up: UpResult


@dataclass(frozen=True)
class DumpResult:
    """A dump in a file.

    `path`: the file.
    `bytes`: its size in bytes.
    `plain_bytes`: its size in bytes before compression.
    """

    path: Path
    bytes: int
    plain_bytes: int


@dataclass(frozen=True)
class LoadResult:
    """A dump that was loaded into a running database.

    `instance`: the name of the instance.
    `component`: the database.
    `bytes`: how many bytes were loaded, uncompressed.
    """

    instance: str
    component: str
    bytes: int


@dataclass(frozen=True)
class ReplaceResult:
    """A dump that replaced the data of a database.

    `instance`: the name of the instance.
    `component`: the database.
    `up`: what `up` reports of the instance with this data.
    """

    instance: str
    component: str
    up: UpResult


@dataclass(frozen=True)
class NothingToUpgrade:
    """A database whose data is of the wanted version already.

    `component`: the database.
    `from`: the major version of its data.
    `to`: the wanted major version.
    `changed`: false.
    """

    component: str
    from_: int
    to: int
    changed: Literal[False] = False


@dataclass(frozen=True)
class UpgradeResult:
    """A database whose data was upgraded.

    `component`: the database.
    `from`: the major version before.
    `to`: the major version now.
    `changed`: true.
    `up`: what `up` reports of the instance with this data.
    """

    component: str
    from_: int
    to: int
    changed: Literal[True]
    up: UpResult


@dataclass(frozen=True)
class AdoptResult:
    """What `init --adopt` took along.

    `instance`: the instance that has the data now.
    `project`: the Compose project that it was read from, and which still has it.
    `snapshot`: the snapshot that was made of it, which is kept.
    `rows`: how many rows, keys or files were taken, by component or shared volume.
    `missing`: the components with data that the project has no service for.
    `notices`: warnings, as text for people.
    """

    instance: str
    project: str
    snapshot: str
    rows: Mapping[str, int]
    missing: tuple[str, ...]
    notices: tuple[str, ...]
