"""Apply migrations to a copy of a database, and measure what each statement does to those who use the original."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from stack.components.postgres.migrating import failed, find_pending, noted
from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.script import WHY_EACH, wrapped
from stack.components.postgres.server import Server
from stack.components.postgres.statements import WHY_WHOLE, Piece, Refused, pieces
from stack.controls import visible
from stack.errors import StackError
from stack.frozen import dataclass
from stack.migrations import Migration
from stack.progress import Progress
from stack.results.rehearsals import HeldLock, RehearsedMigration, RehearsedStatement

# The locks that keep others from reading or writing, the strongest last (PostgreSQL, "Explicit Locking").
_BLOCKING = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
_SHOWN = 100
# What there is in the middle of a transaction. A table that was dropped in it is still locked, and has no name.
_LOOK = f"""\
SELECT pg_catalog.jsonb_build_object(
    'tables', (
        SELECT coalesce(pg_catalog.jsonb_object_agg(
            c.oid, pg_catalog.jsonb_build_array(
                CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
                ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END,
                pg_catalog.pg_relation_filenode(c.oid))), '{{}}')
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_'
            AND n.nspname NOT IN ('information_schema', 'stackctl')),
    'locks', (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(relation, mode)), '[]')
        FROM pg_catalog.pg_locks
        WHERE pid = pg_catalog.pg_backend_pid() AND granted AND locktype = 'relation'
            AND mode IN ('{"', '".join(_BLOCKING)}')),
    'rows', (
        SELECT coalesce(pg_catalog.jsonb_object_agg(relid, n_tup_ins + n_tup_upd + n_tup_del), '{{}}')
        FROM pg_catalog.pg_stat_xact_user_tables WHERE schemaname <> 'stackctl')
);
"""  # noqa: S608 - of constants
_PLACE = re.compile(r"^psql:<stdin>:\d+: ", re.MULTILINE)


@dataclass(frozen=True)
class _Seen:
    """`tables`: the name and the number of the file of each, by its own number. `locks`: table and mode. `rows`: how
    many were changed in this transaction, by table."""

    tables: Mapping[str, tuple[str, int | None]]
    locks: frozenset[tuple[str, str]]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class _Step:
    """A statement with its pieces, on which line it begins, and what it did. `at`: when it began, in seconds."""

    line: int
    text: str
    at: float
    seconds: float
    before: _Seen
    after: _Seen


def rehearse(server: Server, migrations: tuple[Migration, ...], progress: Progress) -> tuple[RehearsedMigration, ...]:
    """Apply those that the copy lacks, as `migrate` does, and return how each of them went.

    Raises `migration-failed`, `migration-edited` and `migration-order`.
    """
    found = []
    _, lacking = find_pending(server, migrations)
    with psql(server, server.database.database, {}, server.database.user) as asked:
        for each in lacking:
            progress.step(f"{server.database.name}: rehearsing {each.name}")
            found.append(_rehearse(server.database.name, asked, each))
    return tuple(found)


def _rehearse(database: str, asked: Psql, migration: Migration) -> RehearsedMigration:
    began = time.monotonic()
    opening = "SET standard_conforming_strings = on;\n" + ("BEGIN;\n" if migration.whole else "")
    closing = noted(migration) + ("COMMIT;\n" if migration.whole else "")
    _tell(database, migration, asked, opening)
    at_first = seen = _look(asked)
    steps = []
    try:
        for line, statement in _statements(pieces([migration.sql], WHY_WHOLE if migration.whole else WHY_EACH)):
            at, before = time.monotonic(), seen
            if (complaint := asked.run_lines(wrapped(iter(statement)))) is not None:
                raise _broken(database, migration, f"line {line}: {_PLACE.sub('', complaint)}")
            took = time.monotonic() - at
            seen = _look(asked)
            steps.append(_Step(line, _beginning(statement), at, took, before, seen))
    except Refused as refused:
        raise _broken(database, migration, str(refused)) from refused
    _tell(database, migration, asked, closing)
    ended = time.monotonic()
    return RehearsedMigration(
        migration.name, round(ended - began, 3), tuple(_described(each, at_first, ended, migration) for each in steps)
    )


def _tell(database: str, migration: Migration, asked: Psql, statements: str) -> None:
    if (complaint := asked.run(statements)) is not None:
        raise _broken(database, migration, _PLACE.sub("", complaint))


def _look(asked: Psql) -> _Seen:
    found: Mapping[str, Any] = json.loads(asked.ask(_LOOK.replace("\n", " ") + "\n"))
    return _Seen(
        {oid: (name, file) for oid, (name, file) in found["tables"].items()},
        frozenset((str(oid), mode) for oid, mode in found["locks"]),
        found["rows"],
    )


def _statements(read: Iterator[Piece]) -> Iterator[tuple[int, list[Piece]]]:
    """Yield each statement with all that belongs to it, and the line that it begins on."""
    line, first, statement = 1, 1, list[Piece]()
    for piece in read:
        if piece.kind == "begin":
            if statement:
                yield first, statement
            first, statement = line, []
        if statement or piece.kind == "begin":
            statement.append(piece)
        line += piece.text.count(b"\n")
    if statement:
        yield first, statement


def _beginning(statement: list[Piece]) -> str:
    ends = next(place for place, piece in enumerate(statement) if piece.kind == "end")
    text = visible(" ".join(b"".join(piece.text for piece in statement[:ends]).decode(errors="replace").split()))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]} …"


def _described(step: _Step, at_first: _Seen, ended: float, migration: Migration) -> RehearsedStatement:
    """Say what a statement did to the tables that there were before the migration: no one else knows the new ones."""
    before, after = step.before, step.after
    there = {oid: name for oid, (name, _) in at_first.tables.items()}
    rows = {oid: count - before.rows.get(oid, 0) for oid, count in after.rows.items()}
    names = {oid: name for oid, (name, _) in {**before.tables, **after.tables}.items()}
    taken: dict[str, str] = {}
    for oid, mode in sorted(after.locks - before.locks, key=lambda lock: _BLOCKING.index(lock[1])):
        if oid in there:
            taken[there[oid]] = mode
    return RehearsedStatement(
        line=step.line,
        text=step.text,
        seconds=round(step.seconds, 3),
        rows={names[oid]: count for oid, count in sorted(rows.items()) if count and oid in names and migration.whole},
        rewritten=tuple(
            sorted(
                there[oid]
                for oid, (_, file) in after.tables.items()
                if oid in there and oid in before.tables and file != before.tables[oid][1]
            )
        ),
        dropped=tuple(sorted(there[oid] for oid in before.tables if oid in there and oid not in after.tables)),
        locks=tuple(_held(table, mode, ended - step.at) for table, mode in sorted(taken.items()))
        if migration.whole
        else (),
    )


def _held(table: str, mode: str, seconds: float) -> HeldLock:
    return HeldLock(table, mode, "reads and writes" if mode == _BLOCKING[-1] else "writes", round(seconds, 3))


def _broken(database: str, migration: Migration, complaint: str) -> StackError:
    error = failed(database, migration.name, complaint, nothing_kept=True)
    return StackError(
        error.code,
        f"{database}: {migration.name} can't be applied to a copy of its data, which is deleted again; "
        "the data itself was not touched",
        error.hint.replace("`stackctl up`", "`stackctl plan --rehearse`"),
        complaint,
    )
