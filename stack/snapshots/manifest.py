"""What a snapshot says of itself: values, and their JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, cast, get_args

from stack.fields import Fields
from stack.snapshots.checked import MOST, Part
from stack.snapshots.properties import Properties, Setting, read_properties, read_setting
from stack.workload import PortId

SCHEMA = 2
# Without what belongs to a database and not to its contents, and with the first kind of checksums.
_BEFORE = 1
# The statements that make the roles are read line by line, and a line has no limit of its own.
MOST_ROLES = 64 * 2**20
_COMPONENT = "[a-z][a-z0-9-]{0,30}"
# `18.6`, and also `19beta1`.
_VERSION = r"[1-9]\d?(?!\d)[\w.+~-]{0,60}"
# The name of a volume, or the path of a folder.
_STORE = r"(?!(?:.*/)?\.\.(?:/|$))[^\x00]{1,4096}"
_ANYTHING = ".*"
_MOST_NAME = 255

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
    """One database of a server. `size`: the bytes that it took there. `properties`: None where nothing knew them."""

    name: str
    encoding: str
    size: int
    dump: Member
    tables: tuple[Table, ...]
    properties: Properties | None = None

    @property
    def rows(self) -> int:
        """Those of its users: not what stackctl notes there."""
        return sum(table.rows for table in self.tables if not table.name.startswith("stackctl."))


@dataclass(frozen=True)
class SavedComponent:
    """A component of PostgreSQL. `version` as the server says it (`18.6`), `user` and `database` as declared.

    `store`: the engine's name of the data store that it was in. `admin`: the role that the server was made with.
    `system`: what `ALTER SYSTEM` set. `checksums`: of which kind those of the tables are; see `content`.
    """

    version: str
    user: str
    database: str
    store: str
    roles: Member
    databases: tuple[SavedDatabase, ...]
    admin: str | None = None
    settings: tuple[Setting, ...] = ()
    system: Mapping[str, str] = field(default_factory=dict)
    checksums: int = 1

    @property
    def major(self) -> int:
        return major_of(self.version)

    @property
    def of_superuser(self) -> bool:
        """Whether the declared user was the role that the server was made with, as in data of before."""
        return self.admin in (None, self.user)

    @property
    def size(self) -> int:
        return sum(database.size for database in self.databases)

    @property
    def rows(self) -> int:
        return sum(database.rows for database in self.databases)

    @property
    def members(self) -> Iterator[Member]:
        yield self.roles
        for database in self.databases:
            yield database.dump


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
    ports: Mapping[PortId, int] = field(default_factory=dict)
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

    @property
    def members(self) -> tuple[Member, ...]:
        """All files but for the manifest itself."""
        return tuple(member for component in self.components.values() for member in component.members)


def major_of(version: str) -> int:
    """Of `18.6`, and also of `19beta1`."""
    return int(re.split(r"\D", version)[0])


def to_json(manifest: Manifest) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(manifest), "made": manifest.made.isoformat()}, indent=2) + "\n"


def from_json(text: str) -> Manifest:
    """Raises `ValueError` for what is no manifest, or one of a newer stackctl."""
    whole = Part.read(text)
    if whole.has("schema") and whole.whole("schema") not in (SCHEMA, _BEFORE):
        raise ValueError("it was made by another version of stackctl")
    plain = ("name", "stackctl", "stack", "instance", "engine")
    whole.only(("schema", *plain, "reason", "made", "components"), ("ports", "declaration"))
    components = whole.part("components")
    manifest = Manifest(
        **{key: whole.text(key) for key in plain},
        reason=cast("Reason", whole.text("reason", "|".join(get_args(Reason)))),
        made=_moment(whole),
        components={name: _component(components.part(name), name) for name in components.names(_COMPONENT)},
        ports=_ports(whole.part("ports")) if whole.has("ports") else {},
        declaration=_declaration(whole.part("declaration")) if whole.has("declaration") else {},
    )
    if not manifest.components:
        raise ValueError("components: there is none")
    names = [member.name for member in manifest.members]
    if len(set(names)) != len(names):
        raise ValueError("a part of it belongs to two")
    return manifest


def _moment(whole: Part) -> datetime:
    made = datetime.fromisoformat(whole.text("made"))
    if made.tzinfo is None:
        raise ValueError("made: it has no time zone")
    return made


def _ports(ports: Part) -> dict[PortId, int]:
    return {PortId(name): ports.whole(name, 1, 65535) for name in ports.names()}


def _declaration(components: Part) -> dict[str, Fields]:
    found: dict[str, Fields] = {}
    for name in components.names():
        fields = components.part(name)
        found[name] = {field: fields.text(field, _ANYTHING) for field in fields.names(_ANYTHING)}
    return found


def _component(data: Part, name: str) -> SavedComponent:
    data.only(
        ("version", "user", "database", "store", "roles", "databases"), ("admin", "settings", "system", "checksums")
    )
    component = SavedComponent(
        version=data.text("version", _VERSION),
        user=data.name("user", _MOST_NAME),
        database=data.name("database", _MOST_NAME),
        store=data.text("store", _STORE),
        roles=_member(data.part("roles"), f"{name}/roles\\.sql", most=MOST_ROLES),
        databases=tuple(_database(each, name) for each in data.parts("databases")),
        admin=data.name("admin", _MOST_NAME) if data.has("admin") and data.is_set("admin") else None,
        settings=tuple(map(read_setting, data.parts("settings"))) if data.has("settings") else (),
        system=_system(data.part("system")) if data.has("system") else {},
        checksums=data.whole("checksums", 1, 2) if data.has("checksums") else 1,
    )
    names = [database.name for database in component.databases]
    if component.database not in names or len(set(names)) != len(names):
        raise ValueError(f"components.{name}.databases: its own is not there, or one is there twice")
    return component


def _system(data: Part) -> dict[str, str]:
    return {name: data.text(name, r"[^\x00]*") for name in data.names()}


def _database(data: Part, component: str) -> SavedDatabase:
    data.only(("name", "encoding", "size", "dump", "tables"), ("properties",))
    tables = tuple(_table(each) for each in data.parts("tables"))
    if len({table.name for table in tables}) != len(tables):
        raise ValueError("tables: one is there twice")
    return SavedDatabase(
        name=data.name("name", _MOST_NAME),
        encoding=data.text("encoding", r"[A-Z][A-Z0-9_]{0,30}"),
        size=data.whole("size"),
        dump=_member(data.part("dump"), rf"{component}/[1-9]\d{{0,4}}\.dump\.zst"),
        tables=tables,
        properties=read_properties(data.part("properties"))
        if data.has("properties") and data.is_set("properties")
        else None,
    )


def _table(data: Part) -> Table:
    data.only(("name", "rows", "checksum"))
    return Table(data.name("name"), data.whole("rows"), data.text("checksum", r"-?\d{1,40}"))


def _member(data: Part, name: str, most: int = MOST) -> Member:
    data.only(("name", "bytes", "sha256"))
    return Member(data.text("name", name), data.whole("bytes", most=most), data.text("sha256", "[0-9a-f]{64}"))
