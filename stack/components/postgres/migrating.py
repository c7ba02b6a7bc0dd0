"""Apply the migrations of a database that it has not had yet: each once, in a transaction of its own, in order.

What waits for a lock makes all that come after it wait too. So a migration waits only for moments, and is tried again.
"""

from __future__ import annotations

import secrets
import threading
import time

from stack.components.postgres.ownership import NEEDS_ADMIN, needs_admin
from stack.components.postgres.rows import read_rows
from stack.components.postgres.script import Failure, run_each, run_whole
from stack.components.postgres.server import Server
from stack.errors import StackError
from stack.migrations import NO_TRANSACTION, Migration, pending
from stack.progress import Progress

# Whatever the role is set to, which is meant for the app.
_TABLE = """\
SET transaction_read_only = off;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS stackctl;
CREATE TABLE IF NOT EXISTS stackctl.migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
);
"""
# Of a database, one session at a time has this lock, and applies migrations. It is asked for without waiting: what
# waits for it would hold up a `CREATE INDEX CONCURRENTLY` of the one that has it.
_LOCK = int.from_bytes(b"stackctl", "big")
_GUARD = """\
DO {quote} BEGIN \
IF NOT pg_catalog.{function}({lock}) THEN RAISE '{busy}'; END IF; \
IF EXISTS (SELECT FROM stackctl.migrations WHERE name = '{name}') THEN RAISE '{meanwhile}'; END IF; \
END {quote}; """
_BUSY = "another program applies migrations to this database"
_MEANWHILE = "another program applied it meanwhile"
# As PostgreSQL says that it was not given a lock in time.
_NO_LOCK = "canceling statement due to lock timeout"
_LOCK_WAIT = "1s"
_TRIED_FOR = 30.0
_APART = 1.0
_PAUSE = threading.Event()
# Those whose transactions began before the migration waited, the oldest first.
_OPEN = """\
SELECT 'process ' || pid, usename, coalesce(nullif(application_name, ''), 'no name'), state,
    round(extract(epoch FROM now() - xact_start)), left(regexp_replace(query, '\\s+', ' ', 'g'), 80)
FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - interval '1 s'
UNION ALL
SELECT 'prepared transaction ' || quote_literal(gid), owner::text, 'no name', 'prepared',
    round(extract(epoch FROM now() - prepared)), ''
FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()
ORDER BY 5 DESC LIMIT 5
"""
# As PostgreSQL says it of what it refuses in a transaction.
_NO_TRANSACTION_BLOCK = "cannot run inside a transaction block"
_APPLIED = "SELECT name, checksum FROM stackctl.migrations"


def migrate(
    server: Server, migrations: tuple[Migration, ...], progress: Progress
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Apply those that the database lacks: all that it has had after that, and which were new.

    Raises `migration-failed`, of which nothing remains, `migration-blocked`, `migration-edited` and `migration-order`.
    """
    applied, lacking = find_pending(server, migrations)
    for each in lacking:
        progress.step(f"{server.database.name}: applying {each.name}")
        _apply(server, each, progress)
        applied[each.name] = each.checksum
    return applied, tuple(each.name for each in lacking)


def find_pending(server: Server, migrations: tuple[Migration, ...]) -> tuple[dict[str, str], tuple[Migration, ...]]:
    """Return the checksums of those that a database has had, by name, and those that it lacks.

    Raises `migration-failed`, `migration-edited` and `migration-order`.
    """
    answer = server.run(server.database.query(_TABLE + _APPLIED))
    if not answer.ok:
        raise failed(server.database.name, "the table of migrations", answer.stderr, True)
    applied = {str(name): str(checksum) for name, checksum in read_rows(answer.stdout).rows}
    return applied, pending(server.database.name, applied, migrations)


def noted(migration: Migration) -> str:
    """Return the statement that records a migration."""
    name = migration.name.replace("'", "''")
    return f"INSERT INTO stackctl.migrations (name, checksum) VALUES ('{name}', '{migration.checksum}');\n"  # noqa: S608


def _apply(server: Server, migration: Migration, progress: Progress) -> None:
    """Apply one. Does nothing if another program did so first."""
    database, until = server.database.name, time.monotonic() + _TRIED_FOR
    while (failure := _run(server, migration)) is not None and _MEANWHILE not in failure.text:
        if _BUSY not in failure.text and not (_NO_LOCK in failure.text and failure.nothing_kept):
            raise failed(database, migration.name, failure.text, failure.nothing_kept)
        if time.monotonic() > until:
            raise _blocked(server, migration.name, failure.text)
        progress.step(f"{database}: {migration.name} was not given a lock; trying it again")
        _PAUSE.wait(_APART)


def _run(server: Server, migration: Migration) -> Failure | None:
    name = migration.name.replace("'", "''")
    function = "pg_try_advisory_xact_lock" if migration.whole else "pg_try_advisory_lock"
    guard = _GUARD.format(
        quote=f"$g{secrets.token_hex(16)}$", function=function, lock=_LOCK, name=name, busy=_BUSY, meanwhile=_MEANWHILE
    )
    if migration.whole:
        return run_whole(server, [migration.sql], noted(migration), f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'; {guard}")
    return run_each(server, [migration.sql], noted(migration), guard)


def _blocked(server: Server, migration: str, complaint: str) -> StackError:
    name = server.database.name
    answer = server.run(server.database.query(_OPEN, user=server.admin))
    found = read_rows(answer.stdout).rows if answer.ok else ()
    lines = [f"{what} of {role} ({app}): {state} for {age} s: {query}" for what, role, app, state, age, query in found]
    processes = [str(what).removeprefix("process ") for what, *_ in found if str(what).startswith("process ")]
    end = f"SELECT pg_terminate_backend({processes[0] if processes else 'PID'})"
    return StackError(
        "migration-blocked",
        f"{name}: {migration} was not given a lock for {_TRIED_FOR:g} s; nothing of it was kept",
        f"end what holds the lock: `{end}` in `stackctl shell {name} --admin --write`; then run `stackctl up` again",
        "\n".join(["The oldest open transactions:", *lines, ""] if lines else []) + complaint,
    )


def failed(database: str, what: str, complaint: str, nothing_kept: bool) -> StackError:
    """Return `migration-failed`, with what is to be done about what PostgreSQL complains of."""
    if _NO_TRANSACTION_BLOCK in complaint:
        hint = f"put it into a file of its own whose first line is `{NO_TRANSACTION}`, and run `stackctl up` again"
    elif needs_admin(complaint):
        hint = NEEDS_ADMIN.format(name=database)
    elif nothing_kept:
        hint = f"fix {what} and run `stackctl up` again"
    else:
        hint = f"see what there is with `stackctl shell {database}`, fix {what}, and run `stackctl up` again"
    kept = "nothing of it was kept" if nothing_kept else "the statements before the one that failed were kept"
    message = f"{database}: {what} can't be applied; {kept}, and what uses {database} was not touched"
    return StackError("migration-failed", message, hint, complaint)
