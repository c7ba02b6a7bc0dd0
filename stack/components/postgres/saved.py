"""What a snapshot holds of a PostgreSQL: values, and how they stand in its manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field

from stack.components.postgres.properties import Properties, Setting, read_properties, read_setting
from stack.frozen import dataclass
from stack.snapshots.checked import Part
from stack.snapshots.manifest import Content, Member, Saved

FORMAT = "postgres/1"
# The statements that make the roles are read line by line, and a line has no limit of its own.
MOST_ROLES = 64 * 2**20
# `18.6`, and also `19beta1`.
_VERSION = r"[1-9]\d?(?!\d)[\w.+~-]{0,60}"
_MOST_NAME = 255


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


def major_of(version: str) -> int:
    """Of `18.6`, and also of `19beta1`."""
    return int(re.split(r"\D", version)[0])


def pack(component: SavedComponent) -> Saved:
    """Describe it as any snapshot does; what only PostgreSQL understands are its details."""
    return Saved(
        format=FORMAT,
        version=component.version,
        volumes={"": component.store},
        size=component.size,
        rows=component.rows,
        contents=tuple(
            Content(database.name, table.name, table.rows, table.checksum)
            for database in component.databases
            for table in database.tables
        ),
        members=tuple(component.members),
        # As it is after its way through JSON.
        details=json.loads(
            json.dumps(
                {
                    "user": component.user,
                    "database": component.database,
                    "admin": component.admin,
                    "settings": [asdict(each) for each in component.settings],
                    "system": dict(component.system),
                    "checksums": component.checksums,
                    "roles": component.roles.name,
                    "databases": [
                        {
                            "name": each.name,
                            "encoding": each.encoding,
                            "size": each.size,
                            "dump": each.dump.name,
                            "properties": None if each.properties is None else asdict(each.properties),
                        }
                        for each in component.databases
                    ],
                }
            )
        ),
    )


def unpack(name: str, saved: Saved) -> SavedComponent:
    """Read what `pack` wrote of the component `name`. Raises `ValueError` for anything else."""
    if saved.format != FORMAT:
        raise ValueError(f"components.{name}: it is of the format {saved.format}, and not {FORMAT}")
    data = Part(saved.details, f"components.{name}.details")
    data.only(("user", "database", "admin", "settings", "system", "checksums", "roles", "databases"))
    members = {member.name: member for member in saved.members}
    system = data.part("system")
    component = SavedComponent(
        version=Part({"version": saved.version}, f"components.{name}").text("version", _VERSION),
        user=data.name("user", _MOST_NAME),
        database=data.name("database", _MOST_NAME),
        store=saved.volumes.get("", ""),
        roles=_part(data, "roles", members, rf"{name}/roles\.sql"),
        databases=tuple(_database(each, name, saved, members) for each in data.parts("databases")),
        admin=data.name("admin", _MOST_NAME) if data.is_set("admin") else None,
        settings=tuple(map(read_setting, data.parts("settings"))),
        system={setting: system.text(setting, r"[^\x00]*") for setting in system.names()},
        checksums=data.whole("checksums", 1, 2),
    )
    if component.roles.bytes > MOST_ROLES:
        raise ValueError(f"components.{name}: its roles are longer than {MOST_ROLES} bytes")
    names = [database.name for database in component.databases]
    if component.database not in names or len(set(names)) != len(names):
        raise ValueError(f"components.{name}.databases: its own is not there, or one is there twice")
    if {each.group for each in saved.contents} - set(names):
        raise ValueError(f"components.{name}.contents: a table is of no database")
    if sorted(each.name for each in component.members) != sorted(members):
        raise ValueError(f"components.{name}: a part of it belongs to nothing, or to two")
    return component


def _database(data: Part, component: str, saved: Saved, members: Mapping[str, Member]) -> SavedDatabase:
    data.only(("name", "encoding", "size", "dump", "properties"))
    name = data.name("name", _MOST_NAME)
    return SavedDatabase(
        name=name,
        encoding=data.text("encoding", r"[A-Z][A-Z0-9_]{0,30}"),
        size=data.whole("size"),
        dump=_part(data, "dump", members, rf"{component}/[1-9]\d{{0,4}}\.dump\.zst"),
        tables=tuple(Table(each.name, each.rows, each.checksum) for each in saved.contents if each.group == name),
        properties=read_properties(data.part("properties")) if data.is_set("properties") else None,
    )


def _part(data: Part, key: str, members: Mapping[str, Member], pattern: str) -> Member:
    name = data.text(key, pattern)
    if name not in members:
        raise ValueError(f"{name} is not in the list of its parts")
    return members[name]
