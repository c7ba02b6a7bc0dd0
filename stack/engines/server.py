"""A PostgreSQL that runs, of an instance or beside it, and the commands that work on its data."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from stack.capabilities import Completed
from stack.components.postgres import ADMIN, Postgres
from stack.engines import process
from stack.engines.process import Pipe
from stack.errors import StackError

# Runs a server for as long as somebody holds the standard input of this script open, whatever becomes of him, and
# then stops it without waiting for its clients. A shell lets what it starts ignore SIGINT, but a server of
# PostgreSQL takes it up again; until it does, the signal has to be repeated. A server that ends by itself ends the
# script. What a shell starts in the background reads nothing, unless it is told what.
HELD = """\
exec 3<&0
"$@" 3<&- &
server=$!
{ cat <&3 > /dev/null; while kill -INT "$server" 2> /dev/null; do sleep 0.1; done; } &
holder=$!
wait "$server"
ended=$?
kill "$holder" 2> /dev/null
exit "$ended"
"""
# What a role or a database may be set to, and would end what takes long, or refuse what changes anything.
_NEUTRAL = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
}
# The number of the superuser that `initdb` makes.
_FIRST_ROLE = "SELECT rolname FROM pg_catalog.pg_roles WHERE oid OPERATOR(pg_catalog.=) 10::pg_catalog.oid"
_POLL = 0.2
_STARTED_WITHIN = 120.0
# A clean shutdown writes all that is in memory.
_STOPPED_WITHIN = 300.0
_LAST_LINES = 15
DATABASE_HINT = "mend what its last lines name, and run this again; the instance's data is as it was"


@dataclass(frozen=True)
class Server:
    """How commands like `psql` and `pg_dump` are run beside a server: on its own socket, where no password is asked.

    `command` makes of the words of such a command those that run it there, in `environment`. A command connects as
    `database.user` for what the user's files and apps do, and as `admin` for stackctl's own work. `memory`: the bytes
    beyond which the engine ends it, if there is such a limit.
    """

    database: Postgres
    command: Callable[[Sequence[str]], Sequence[str]]
    environment: Mapping[str, str]
    memory: int | None = None

    @cached_property
    def admin(self) -> str:
        """The role for stackctl's own work: that which the cluster was made with, until `up` renames it the user."""
        words = ["psql", "-X", "-q", "-A", "-t", "-w", "-d", conninfo(self.database.database, self.database.user)]
        answer = self.run([*words, "-c", _FIRST_ROLE])
        return answer.stdout.strip() if answer.ok else ADMIN

    def run(self, words: Sequence[str], limit: float | None = 30) -> Completed:
        """Raises `no-answer` after `limit` seconds."""
        return process.ask(self.database.name, self.command(words), self.environment, limit)

    def pipe(self, words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        """Start a command, and feed it or take from it."""
        return Pipe(self.command(words), self.environment, feed=feed, take=take)


def conninfo(database: str, user: str, settings: Mapping[str, str] | None = None) -> str:
    """Tell libpq where to connect, and that no setting of a role ends or refuses the work; a name may hold
    anything.

    `settings`: others for the connection, plain words.
    """
    wanted = {**_NEUTRAL, **(settings or {})}
    options = " ".join(f"-c {name}={value}" for name, value in wanted.items())
    parts = (("dbname", database), ("user", user), ("options", options))
    return " ".join(f"{key}={_quoted(value)}" for key, value in parts)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextlib.contextmanager
def held(
    serve: Callable[[int], Server],
    holding: Sequence[str],
    environment: Mapping[str, str],
    log: IO[bytes],
    explain: Callable[[str], StackError],
    answers: Sequence[str],
) -> Iterator[Server]:
    """Run a server by `holding`, which runs `HELD`, until the end of the block; ready when the command `answers` does.

    `serve` gets the process of `holding`. It writes to `log`; `explain` makes an error of its last words where it does
    not start. It is stopped cleanly: all that was committed is on the disk then.
    """
    with Pipe(holding, environment, feed=True, log=log) as holder:
        server = serve(holder.process)
        deadline = time.monotonic() + _STARTED_WITHIN
        pause = threading.Event()
        while not server.run(answers).ok:
            if holder.ended() or time.monotonic() > deadline:
                raise explain(_last_words(log.name))
            pause.wait(_POLL)
        yield server
        if holder.finish(_STOPPED_WITHIN):
            raise explain(_last_words(log.name))


def _last_words(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return "\n".join(file.read().splitlines()[-_LAST_LINES:])
