"""Run the files that a new database is made with: each once, in a transaction of its own, in their order."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from stack.components.postgres.ownership import NEEDS_ADMIN, needs_admin
from stack.components.postgres.rows import read_rows
from stack.components.postgres.script import Failure, run_each, run_whole
from stack.components.postgres.server import Server
from stack.errors import StackError
from stack.initial import InitialFile
from stack.progress import Progress

# Whatever the role is set to, which is meant for the app.
_TABLE = """\
SET transaction_read_only = off;
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS stackctl;
CREATE TABLE IF NOT EXISTS stackctl.initial (name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now());
"""
_RAN = "SELECT name FROM stackctl.initial"
_PLACE = re.compile(r"<stdin>:(\d+): (?:ERROR|FATAL): +([^\n]*)")


def initialise(server: Server, files: Sequence[InitialFile], progress: Progress) -> tuple[str, ...]:
    """Run those that have not run, and return their names. Raises `init-failed`, and keeps nothing of that file."""
    answer = server.run(server.database.query(_TABLE + _RAN))
    if not answer.ok:
        raise _failed(server, "the table of what ran", Failure(answer.stderr))
    ran = {str(name) for (name,) in read_rows(answer.stdout).rows}
    lacking = [each for each in files if each.name not in ran]
    for each in lacking:
        progress.step(f"{server.database.name}: running {each.name}")
        name = each.name.replace("'", "''")
        noted = f"INSERT INTO stackctl.initial (name) VALUES ('{name}');\n"  # noqa: S608 - it is quoted
        try:
            failure = (run_whole if each.whole() else run_each)(server, each.chunks(), noted)
        except (OSError, EOFError, zlib.error) as error:
            failure = Failure(f"it can't be read: {error}")
        if failure is not None:
            raise _failed(server, each.name, failure)
    return tuple(each.name for each in lacking)


def _failed(server: Server, file: str, failure: Failure) -> StackError:
    name, found = server.database.name, _PLACE.search(failure.text)
    said = f"line {found[1]}: {found[2]}" if found else failure.text.strip().splitlines()[0]
    kept = "nothing of it was kept" if failure.nothing_kept else "the statements before the one that failed were kept"
    hint = f"fix {file}, and run `stackctl up` again, which goes on with it"
    if needs_admin(failure.text):
        hint = NEEDS_ADMIN.format(name=name)
    return StackError(
        "init-failed",
        f"{name}: {file}: {said}; {kept}, and what uses {name} was not touched",
        hint,
        failure.text,
    )
