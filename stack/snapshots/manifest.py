"""What a snapshot says of itself: values, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from stack.fields import Fields

SCHEMA = 1

Reason = Literal["asked", "load", "reset", "restore", "undo", "upgrade"]
"""Why it was made: somebody asked for it, or a command was about to replace or delete what it holds."""


@dataclass(frozen=True)
class Member:
    """A file in a snapshot, as it lies there: `bytes` of it, and their SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Table:
    """What a table held: the number of its rows, and a checksum of them all that does not depend on their order."""

    name: str
    rows: int
    checksum: str


@dataclass(frozen=True)
class SavedDatabase:
    """One database of a server. `size`: the bytes that it took there."""

    name: str
    encoding: str
    size: int
    dump: Member
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        """Those of its users: not what stackctl notes there."""
        return sum(table.rows for table in self.tables if not table.name.startswith("stackctl."))


@dataclass(frozen=True)
class SavedComponent:
    """A component of PostgreSQL. `version` as the server says it (`18.6`), `user` and `database` as declared.

    `store`: the engine's name of the data store that it was in.
    """

    version: str
    user: str
    database: str
    store: str
    roles: Member
    databases: tuple[SavedDatabase, ...]

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def size(self) -> int:
        return sum(database.size for database in self.databases)

    @property
    def rows(self) -> int:
        return sum(database.rows for database in self.databases)


@dataclass(frozen=True)
class Manifest:
    """The whole. `declaration`: the fields of each component of the instance, without values that may be secret."""

    name: str
    reason: Reason
    made: datetime
    stackctl: str
    stack: str
    instance: str
    engine: str
    components: Mapping[str, SavedComponent]
    ports: Mapping[str, int] = field(default_factory=dict)
    declaration: Mapping[str, Fields] = field(default_factory=dict)

    @property
    def automatic(self) -> bool:
        """Whether a command made it for `undo`."""
        return self.reason != "asked"

    @property
    def size(self) -> int:
        """The bytes that its data took where they were."""
        return sum(component.size for component in self.components.values())

    @property
    def rows(self) -> int:
        return sum(component.rows for component in self.components.values())


def to_json(manifest: Manifest) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(manifest), "made": manifest.made.isoformat()}, indent=2) + "\n"


def from_json(text: str) -> Manifest:
    """Raises `ValueError` for what is no manifest, or one of a newer stackctl."""
    try:
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            raise ValueError("it was made by another version of stackctl")
        data["made"] = datetime.fromisoformat(data["made"])
        data["components"] = {name: _component(each) for name, each in data["components"].items()}
        if data["reason"] not in get_args(Reason):
            raise ValueError(f"{data['reason']!r} is no reason")
        return Manifest(**data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its manifest is incomplete: {error}") from error


def _component(data: dict[str, Any]) -> SavedComponent:
    databases = tuple(_database(each) for each in data.pop("databases"))
    return SavedComponent(roles=Member(**data.pop("roles")), databases=databases, **data)


def _database(data: dict[str, Any]) -> SavedDatabase:
    tables = tuple(Table(**each) for each in data.pop("tables"))
    return SavedDatabase(dump=Member(**data.pop("dump")), tables=tables, **data)
