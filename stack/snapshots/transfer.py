"""Bring the data of a component from its server into a snapshot, and from a snapshot into a server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import IO, Protocol

from stack.components.postgres import read_rows
from stack.engines.script import run_as_admin
from stack.engines.server import Server, conninfo
from stack.errors import StackError
from stack.progress import Progress
from stack.report import size, visible
from stack.snapshots.archive import CHUNK, Archive, Writer, damaged
from stack.snapshots.content import Session, session
from stack.snapshots.manifest import Member, SavedComponent, SavedDatabase, Table

# For a server that nobody else uses yet: tables that are made and filled in one transaction need no log.
LOADING = ("-c", "wal_level=minimal", "-c", "max_wal_senders=0")
_DATABASES = """
SELECT datname, pg_encoding_to_char(encoding), pg_database_size(oid)
FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""
# One transaction holds a lock for each, and a server has room for some thousands.
_MOST_IN_ONE_TRANSACTION = 1000
_TOLD_EVERY = 1.0


class Target(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object: ...


def save_component(server: Server, store: str, archive: Writer, progress: Progress) -> SavedComponent:
    """Save all databases and the roles of a server, which serves on. Each database is as it was at one moment.

    `store` is the name of where its data are. Raises `save-failed`, `query-failed`, and what a `Writer` raises.
    """
    (version,) = _ask(server, "SHOW server_version")[0]
    with ExitStack() as stack:
        # All of them first, so that these moments are as near to each other as they can be.
        found = [(row, stack.enter_context(session(server, row[0]))) for row in _ask(server, _DATABASES)]
        roles = _save_roles(server, archive)
        databases = [
            _save_database(server, archive, number, row, at, progress) for number, (row, at) in enumerate(found, 1)
        ]
    database = server.database
    return SavedComponent(version.split()[0], database.user, database.database, store, roles, tuple(databases))


def _save_database(
    server: Server, archive: Writer, number: int, row: Sequence[str], at: Session, progress: Progress
) -> SavedDatabase:
    name, encoding, taken = row
    words = [
        "pg_dump", "--format=custom", "--compress=0", "--no-password", f"--snapshot={at.moment}",
        "-d", conninfo(name, server.admin),
    ]  # fmt: skip
    with ThreadPoolExecutor(max_workers=1) as counting, server.pipe(words, take=True) as dump:
        content = counting.submit(at.tables)
        try:
            with archive.member(f"{server.database.name}/{number}.dump.zst") as sink:
                stream(chunks(dump.output), sink, server, f"saving {visible(name)}", progress)
        except BaseException:
            at.abandon()
            raise
        if dump.finish():
            raise _broke(
                "save-failed", server, f"{visible(name)} could not be saved; nothing was changed", dump.complaint
            )
        return SavedDatabase(name, encoding, int(taken), sink.member, content.result())


def _save_roles(server: Server, archive: Writer) -> Member:
    words = ["pg_dumpall", "--roles-only", "--no-password", "-U", server.admin, "-l", server.database.database]
    answer = server.run(words, limit=None)
    if not answer.ok:
        raise _broke("save-failed", server, "the roles could not be saved; nothing was changed", answer.stderr)
    with archive.member(f"{server.database.name}/roles.sql") as sink:
        sink.write(answer.stdout.encode())
    return sink.member


def load_component(server: Server, archive: Archive, saved: SavedComponent, closing: str, progress: Progress) -> None:
    """Fill a new server with what was saved, and compare what is in it then. `closing`: SQL to run at last.

    Raises `restore-failed`, `restore-differs` and `query-failed`.
    """
    own = server.database.database
    if (failure := run_as_admin(server, _roles(archive, saved))) is not None:
        raise _broke("restore-failed", server, "the roles could not be made", failure.text)
    there = {name for name, _, _ in _ask(server, _DATABASES)}
    for database in saved.databases:
        if database.name not in there:
            _run_sql(server, own, [_creation(database).encode()], f"the database {visible(database.name)}")
        _load_database(server, archive, database, progress)
        _compare(server, database)
        _run_sql(server, database.name, [b"ANALYZE;\n"], f"the statistics of {visible(database.name)}")
    _run_sql(server, own, [closing.encode()], "the password")


def _roles(archive: Archive, saved: SavedComponent) -> Iterator[bytes]:
    """Give the statements that make the roles, except the one that every new server has."""
    name = re.escape(saved.user)
    present = re.compile(rf'CREATE ROLE (?:{name}|"{name}");\s*'.encode())
    with archive.part(saved.roles) as stream:
        for line in stream:
            if not present.fullmatch(line):
                yield line


def _creation(database: SavedDatabase) -> str:
    name, encoding = database.name.replace('"', '""'), database.encoding.replace("'", "''")
    # Only the locale C goes with every encoding.
    locale = "" if encoding == "UTF8" else " LOCALE 'C'"
    return f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}'{locale};\n"


def _load_database(server: Server, archive: Archive, database: SavedDatabase, progress: Progress) -> None:
    one = ["--single-transaction"] if len(database.tables) <= _MOST_IN_ONE_TRANSACTION else []
    words = [
        "pg_restore", "--exit-on-error", *one, "--no-password", "-d", conninfo(database.name, server.admin),
    ]  # fmt: skip
    with server.pipe(words, feed=True) as restore, archive.part(database.dump) as plain:
        try:
            with suppress(BrokenPipeError):  # what it says tells why
                stream(chunks(plain), restore.input, server, f"loading {visible(database.name)}", progress)
        except (OSError, EOFError) as error:
            raise damaged(archive.path, f"{database.dump.name}: {error}") from error
        if restore.finish():
            raise _broke("restore-failed", server, f"{visible(database.name)} could not be loaded", restore.complaint)


def _compare(server: Server, database: SavedDatabase) -> None:
    with session(server, database.name) as found:
        tables = found.tables()
    if problem := difference(database.tables, tables):
        raise _broke("restore-differs", server, f"what came out is not what was saved: {problem}", "")


def difference(saved: Sequence[Table], found: Sequence[Table]) -> str | None:
    """The first table that is not as it was saved, for people."""
    before, after = ({table.name: table for table in tables} for tables in (saved, found))
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            return f"{visible(name)} {'is new' if was is None else 'is missing'}"
        if was.rows != now.rows:
            return f"{visible(name)} has {now.rows} rows and not {was.rows}"
        if was.checksum != now.checksum:
            return f"the rows of {visible(name)} are others"
    return None


def _run_sql(server: Server, database: str, lines: Iterable[bytes], what: str) -> None:
    words = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database, server.admin)]
    with server.pipe(words, feed=True) as psql:
        with suppress(BrokenPipeError):  # what it says tells why
            for line in lines:
                psql.input.write(line)
        if psql.finish():
            raise _broke("restore-failed", server, f"{what} could not be made", psql.complaint)


def _ask(server: Server, sql: str) -> list[tuple[str, ...]]:
    answer = server.run(server.database.query(sql, user=server.admin))
    if not answer.ok:
        raise _broke("query-failed", server, "it can't be asked", answer.stderr)
    return [tuple(cell or "" for cell in row) for row in read_rows(answer.stdout).rows]


def _broke(code: str, server: Server, problem: str, said: str) -> StackError:
    name = server.database.name
    return StackError(code, f"{name}: {problem}", f"mend what it names, and see `stackctl logs {name}`", said)


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class Counted:
    """Chunks that are counted as they go by, and told of once a second. `bytes`: how many it were."""

    def __init__(self, source: Iterable[bytes], server: Server, doing: str, progress: Progress) -> None:
        self._source = source
        self._component = server.database.name
        self._doing = doing
        self._progress = progress
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        told = time.monotonic()
        for chunk in self._source:
            yield chunk
            self.bytes += len(chunk)
            if time.monotonic() - told >= _TOLD_EVERY:
                told = time.monotonic()
                self._progress.states({self._component: f"{self._doing}: {size(self.bytes)}"})


def stream(source: Iterable[bytes], target: Target, server: Server, doing: str, progress: Progress) -> int:
    """Write all of it, and tell of it. How many bytes it was."""
    counted = Counted(source, server, doing, progress)
    for chunk in counted:
        target.write(chunk)
    return counted.bytes
