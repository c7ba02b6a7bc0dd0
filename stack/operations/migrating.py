"""Apply the migrations of a database that it has not had yet: each once, in a transaction of its own, in order."""

from __future__ import annotations

from dataclasses import replace

from stack.components.postgres import Postgres, read_rows
from stack.engines.process import FinishedJob
from stack.engines.script import run_whole
from stack.engines.server import Server
from stack.errors import StackError
from stack.migrations import Migration, pending
from stack.operations.opening import Opened
from stack.operations.planning import Survey, declared_migrations
from stack.progress import Progress
from stack.verdict import await_proved

# Whatever the role is set to, which is meant for the app.
_TABLE = """\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS stackctl;
CREATE TABLE IF NOT EXISTS stackctl.migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
);
"""
_APPLIED = "SELECT name, checksum FROM stackctl.migrations"


def migrate(opened: Opened, surveyed: Survey, timeout: float, progress: Progress) -> frozenset[str]:
    """Apply what databases lack, before those who use them are made or made anew. Where one of these databases does not
    run as declared, all that uses no other component is made first; the names of what was.

    Raises `migration-failed`, of which nothing remains, `migration-edited` and `migration-order`, and for a database
    that does not get ready what `await_ready` raises.
    """
    stack = opened.instance.stack
    running = {action.target for action in surveyed.plan.actions if action.kind == "keep"}
    first = [] if running.issuperset(surveyed.migrations) else [each.name for each in stack if not each.needs]
    declared = declared_migrations(opened) if surveyed.migrations else {}
    with opened.engine.apply(surveyed.plan.forced.intersection(first), first) if first else FinishedJob() as job:
        for name in surveyed.migrations:
            database = stack[name]
            assert isinstance(database, Postgres)  # noqa: S101 - no other kind has any
            await_proved(opened.instance, opened.engine, database, job, surveyed.observed, timeout, progress)
            applied = _apply(opened.engine.server(database), declared[name], progress)
            known = opened.state.applied()
            opened.state.remember_applied(replace(known, migrations={**known.migrations, name: applied}))
    return frozenset(first)


def _apply(server: Server, migrations: tuple[Migration, ...], progress: Progress) -> dict[str, str]:
    """What the database has had, after it."""
    answer = server.run(server.database.query(_TABLE + _APPLIED))
    if not answer.ok:
        raise _failed(server, "the table of migrations", answer.stderr)
    applied = {str(name): str(checksum) for name, checksum in read_rows(answer.stdout).rows}
    for each in pending(server.database.name, applied, migrations):
        progress.step(f"{server.database.name}: applying {each.name}")
        name = each.name.replace("'", "''")
        noted = f"INSERT INTO stackctl.migrations (name, checksum) VALUES ('{name}', '{each.checksum}');\n"  # noqa: S608
        if (complaint := run_whole(server, [each.sql], noted)) is not None:
            raise _failed(server, each.name, complaint)
        applied[each.name] = each.checksum
    return applied


def _failed(server: Server, what: str, complaint: str) -> StackError:
    return StackError(
        "migration-failed",
        f"{server.database.name}: {what} can't be applied",
        f"mend {what} and run `stackctl up` again; of what failed nothing was kept, and those that use "
        f"{server.database.name} were not touched",
        complaint,
    )
