"""Write a database out as a dump, and put a dump into one; see `stack.capabilities.Dumps`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import IO, cast

from stack.capabilities import Access, Serve, Session
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.ownership import NEEDS_ADMIN, needs_admin
from stack.components.postgres.schema import PostgresSchema
from stack.components.postgres.script import run_whole
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import LOADING, Counted, chunks, stream
from stack.errors import StackError
from stack.frozen import dataclass
from stack.progress import Progress
from stack.snapshots.streams import Kind, Peekable
from stack.workload import Target

_FORMATS = {"sql": "plain", "custom": "custom"}


@dataclass(frozen=True)
class PostgresDumps:
    database: Postgres

    @property
    def title(self) -> str:
        return self.database.database

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(self.database.databases)

    def dump(self, session: Session, kind: Kind, target: IO[bytes], packed: bool, progress: Progress) -> int:
        server = Server(self.database, session)
        plain = ["--compress=0"] if packed else []
        words = ["pg_dump", f"--format={_FORMATS[kind]}", *plain, "--no-password"]
        with server.pipe([*words, "-d", conninfo(self.database.database, server.admin)], take=True) as pg_dump:
            done = stream(chunks(pg_dump.output), target, server, "dumping", progress)
            if pg_dump.finish():
                raise StackError(
                    "save-failed",
                    f"{self.database.name}: {self.database.database} could not be dumped",
                    f"fix what it names, and see `stackctl logs {self.database.name}`",
                    pg_dump.complaint,
                )
        return done

    def load(self, session: Session, plain: Peekable, kind: Kind, progress: Progress) -> int:
        server = Server(self.database, session)
        return (_load_sql if kind == "sql" else _load_archive)(server, plain, progress)

    def serve(self, target: Target) -> Serve:
        return self.database.serve(target)

    def fill(self, access: Access, major: int, load: Callable[[Session], int], progress: Progress) -> None:
        with access.offline(self.database.serve(access.target, LOADING)) as session:
            PostgresSchema(self.database).make_extensions(session, major, self.database.extensions, progress)
            load(session)


def _load_sql(server: Server, plain: Peekable, progress: Progress) -> int:
    counted = Counted(chunks(cast("IO[bytes]", plain)), server, "loading", progress)
    if (failure := run_whole(server, counted)) is not None:
        raise _failed(server.database, failure.text, failure.nothing_kept)
    return counted.bytes


def _load_archive(server: Server, plain: Peekable, progress: Progress) -> int:
    """Ignore ownership in the dump: everything belongs to the component's user."""
    database = server.database
    words = ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
    with server.pipe([*words, "-d", conninfo(database.database, database.user)], feed=True) as pg_restore:
        with suppress(BrokenPipeError):  # its stderr tells why
            written = stream(chunks(cast("IO[bytes]", plain)), pg_restore.input, server, "loading", progress)
        if pg_restore.finish():
            raise _failed(database, pg_restore.complaint)
    return written


def _failed(database: Postgres, complaint: str, nothing_kept: bool = True) -> StackError:
    kept = "nothing of it was kept" if nothing_kept else "a part of it may be kept"
    return StackError(
        "load-failed",
        f"{database.name} did not take it, and {kept}: {_first_error(complaint)}",
        NEEDS_ADMIN.format(name=database.name)
        if needs_admin(complaint)
        else "fix what it names; to put it in the place of what is there: `stackctl load --replace FILE`",
        complaint,
    )


def _first_error(output: str) -> str:
    return next((line for line in output.splitlines() if "ERROR" in line or "error" in line), output.strip())
