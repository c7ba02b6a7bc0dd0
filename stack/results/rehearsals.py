"""What `plan --rehearse` reports of the migrations that it applied to a copy of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stack.frozen import dataclass


@dataclass(frozen=True)
class HeldLock:
    """A lock of a table that keeps others from it until the migration is committed.

    `table`: its name.
    `mode`: the lock, as PostgreSQL names it.
    `blocks`: what waits for it.
    `seconds`: how long it was held, from the start of the statement.
    """

    table: str
    mode: str
    blocks: Literal["writes", "reads and writes"]
    seconds: float


@dataclass(frozen=True)
class RehearsedStatement:
    """One statement of a migration.

    `line`: the line of the file that it begins on.
    `text`: its beginning.
    `seconds`: how long it took.
    `rows`: by table, how many rows it inserted, changed or deleted; empty for a file without a transaction.
    `rewritten`: the tables of which all rows were rewritten, or removed at once.
    `dropped`: the tables that are gone after it.
    `locks`: the locks that it took; empty for a file without a transaction.
    """

    line: int
    text: str
    seconds: float
    rows: Mapping[str, int]
    rewritten: tuple[str, ...]
    dropped: tuple[str, ...]
    locks: tuple[HeldLock, ...]


@dataclass(frozen=True)
class RehearsedMigration:
    """One file.

    `name`: its name.
    `seconds`: how long all of it took.
    `statements`: what it consists of.
    """

    name: str
    seconds: float
    statements: tuple[RehearsedStatement, ...]


@dataclass(frozen=True)
class Rehearsal:
    """The pending migrations, as they went on a copy of the data, which is deleted by then.

    `bytes`: the size of the files that were copied.
    `cloned`: whether the file system cloned them.
    `migrations`: by database, each file in order.
    """

    bytes: int
    cloned: bool
    migrations: Mapping[str, tuple[RehearsedMigration, ...]]
