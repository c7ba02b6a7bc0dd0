"""What a snapshot says of itself. What belongs to one kind of data is its details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from stack.fields import Fields
from stack.frozen import dataclass
from stack.report import count
from stack.workload import PortId

Reason = Literal["asked", "adopt", "branch", "load", "reset", "restore", "undo", "upgrade"]
"""Why it was made: on request, of an adopted project, or before a command that replaces or deletes the data."""


@dataclass(frozen=True)
class Member:
    """A file in a snapshot, as it lies there: `bytes` of it, and their SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """A part of what a component held: the number of its rows, and a checksum of them all that their order is not in.

    For a table `group` is its database; for files it is the volume, and each file counts as a row.
    """

    group: str
    name: str
    rows: int
    checksum: str


@dataclass(frozen=True)
class Saved:
    """The data of a component.

    `format`: which kind of data store wrote it, and in which form: `postgres/1`. `version`: that of the server.
    `volumes`: the engine's name of each volume that it was in, by the name of the volume. `size`: the bytes that it
    took there. `rows`: those of its users. `details`: what the data store needs to load it, made of what JSON has.
    """

    format: str
    version: str
    volumes: Mapping[str, str]
    size: int
    rows: int
    contents: tuple[Content, ...]
    members: tuple[Member, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_files(self) -> bool:
        """Whether its rows are files of volumes."""
        return self.format.startswith("volumes/")


@dataclass(frozen=True)
class Manifest:
    """The whole. `declaration`: the fields of each component of the instance, without values that may be secret.

    `groups`: whether each group of components was on. `host`: the server that it was on, if it was on one.
    """

    name: str
    reason: Reason
    made: datetime
    stackctl: str
    stack: str
    instance: str
    engine: str
    components: Mapping[str, Saved]
    ports: Mapping[PortId, int] = field(default_factory=dict)
    declaration: Mapping[str, Fields] = field(default_factory=dict)
    groups: Mapping[str, bool] = field(default_factory=dict)
    host: str | None = None

    @property
    def automatic(self) -> bool:
        """Whether a command made it for `undo`."""
        return self.reason not in ("asked", "adopt")

    @property
    def size(self) -> int:
        """The bytes that its data took where they were."""
        return sum(component.size for component in self.components.values())

    @property
    def rows(self) -> int:
        """Those of its databases."""
        return sum(component.rows for component in self.components.values() if not component.of_files)

    @property
    def files(self) -> int:
        """Those of its volumes."""
        return sum(component.rows for component in self.components.values() if component.of_files)

    @property
    def holds(self) -> str:
        """For people: what it has."""
        if not self.files:
            return count(self.rows, "row")
        return f"{count(self.rows, 'row')}, {count(self.files, 'file')}" if self.rows else count(self.files, "file")

    @property
    def members(self) -> tuple[Member, ...]:
        """All files but for the manifest itself."""
        return tuple(member for component in self.components.values() for member in component.members)
