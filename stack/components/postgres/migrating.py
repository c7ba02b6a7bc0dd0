"""Apply the migrations of a database that it has not had yet: each once, in a transaction of its own, in order."""

from __future__ import annotations

from stack.components.postgres.ownership import NEEDS_ADMIN, needs_admin
from stack.components.postgres.rows import read_rows
from stack.components.postgres.script import run_each, run_whole
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
# As PostgreSQL says it of what it refuses in a transaction.
_NO_TRANSACTION_BLOCK = "cannot run inside a transaction block"
_APPLIED = "SELECT name, checksum FROM stackctl.migrations"


def migrate(
    server: Server, migrations: tuple[Migration, ...], progress: Progress
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Apply those that the database lacks: all that it has had after that, and which were new.

    Raises `migration-failed`, of which nothing remains, `migration-edited` and `migration-order`.
    """
    answer = server.run(server.database.query(_TABLE + _APPLIED))
    if not answer.ok:
        raise _failed(server.database.name, "the table of migrations", answer.stderr, True)
    applied = {str(name): str(checksum) for name, checksum in read_rows(answer.stdout).rows}
    lacking = pending(server.database.name, applied, migrations)
    for each in lacking:
        progress.step(f"{server.database.name}: applying {each.name}")
        name = each.name.replace("'", "''")
        noted = f"INSERT INTO stackctl.migrations (name, checksum) VALUES ('{name}', '{each.checksum}');\n"  # noqa: S608
        run = run_whole if each.whole else run_each
        if (failure := run(server, [each.sql], noted)) is not None:
            raise _failed(server.database.name, each.name, failure.text, failure.nothing_kept)
        applied[each.name] = each.checksum
    return applied, tuple(each.name for each in lacking)


def _failed(database: str, what: str, complaint: str, nothing_kept: bool) -> StackError:
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
