"""Fresh databases for single tests: copies of one that is migrated, which takes a fraction of migrating each.

The user of the database gets the right to create databases in the instance of the tests, and in no other.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stack.declaration import load_stack
from stack.errors import StackError
from stack.testing.running import RunningStack
from stack.workflow.access import data_store, login_of

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# Any number will do that nothing else locks in this database.
_LOCK = 7_355_608
_TEMPLATE = "stackctl_template"
_QUIET_WITHIN = 30.0
_PAUSE = 0.05
# Those of the same user: nothing else stays connected.
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user
"""
# The database that is always there.
_OTHER = "postgres"


@dataclass(frozen=True)
class Database:
    """Where a database of PostgreSQL is, and how to log in."""

    host: str
    port: int
    name: str
    user: str
    password: str

    @property
    def url(self) -> str:
        """The same as a URL: `postgresql://user:password@host:port/name`."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(self.name, safe='')}"

    def connect(self) -> Connection:
        """Connect with psycopg2."""
        import psycopg2

        return psycopg2.connect(
            host=self.host, port=self.port, dbname=self.name, user=self.user, password=self.password
        )


@dataclass(frozen=True)
class Databases:
    """The databases that one worker makes: copies of `template`, through `session`."""

    base: Database
    worker: str
    session: Connection

    @classmethod
    @contextlib.contextmanager
    def opened(cls, stack: RunningStack, worker: str) -> Iterator[Databases]:
        """Prepare the only database of a stack to be copied, once for all workers.

        Raises `StackError` if the stack has none, or several.
        """
        base = _only_database(stack)
        with contextlib.closing(_connect(replace(base, name=_OTHER))) as session:
            session.autocommit = True
            _prepare(stack, base, session)
            yield cls(base, worker, session)

    @contextlib.contextmanager
    def fresh(self, number: int) -> Iterator[Database]:
        """Give a copy for the block. It is dropped with whatever is still connected to it."""
        made = replace(self.base, name=f"test_{self.worker}_{number}")
        _run(self.session, f'DROP DATABASE IF EXISTS "{made.name}" WITH (FORCE)')
        _run(self.session, f'CREATE DATABASE "{made.name}" TEMPLATE "{_TEMPLATE}"')
        try:
            yield made
        finally:
            _run(self.session, f'DROP DATABASE IF EXISTS "{made.name}" WITH (FORCE)')


def _connect(base: Database) -> Connection:
    """Connect; of what fails no traceback is shown, for the calls in it have the password."""
    import psycopg2

    try:
        return base.connect()
    except psycopg2.OperationalError as error:
        what = f"{base.user} can't connect to {base.host}:{base.port}"
        raise StackError("query-failed", what, "look at `stackctl logs` of the instance", str(error)) from None


def _only_database(stack: RunningStack) -> Database:
    declared = load_stack(stack.file)
    found = [each.name for each in declared if each.dumps is not None]
    if len(found) != 1:
        raise StackError(
            "usage",
            f"which database? The stack has: {', '.join(found) or 'none'}",
            "a test of a stack with another number of them copies databases by itself, with `stack.ports`",
        )
    (name,) = found
    data, login = data_store(declared, name), login_of(declared, name)
    assert data is not None  # noqa: S101 - what has dumps has data,
    assert login is not None  # noqa: S101 - and a user.
    account = data.identity()
    return Database("127.0.0.1", stack.ports[name], account["database"], account["user"], stack.secret(login.secret.id))


def _prepare(stack: RunningStack, base: Database, session: Connection) -> None:
    """Copy the database of the stack unless another worker has. If that fails, the session ends, and the lock too."""
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,))
        if cursor.fetchone() is None:
            stack.administer(f'ALTER ROLE "{base.user}" CREATEDB')
            _copy_when_quiet(base, session)
        cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _copy_when_quiet(base: Database, session: Connection) -> None:
    """Copy the database of the stack, which nothing may be connected to meanwhile: apps connect again at once."""
    import psycopg2

    ends = time.monotonic() + _QUIET_WITHIN
    _run(session, f'ALTER DATABASE "{base.name}" ALLOW_CONNECTIONS false')
    try:
        while True:
            _run(session, _END_OTHERS, base.name)
            try:
                _run(session, f'CREATE DATABASE "{_TEMPLATE}" TEMPLATE "{base.name}"')
                return
            except psycopg2.errors.ObjectInUse:
                if time.monotonic() > ends:
                    raise
            threading.Event().wait(_PAUSE)
    finally:
        _run(session, f'ALTER DATABASE "{base.name}" ALLOW_CONNECTIONS true')


def _run(session: Connection, statement: str, *values: Any) -> None:
    with session.cursor() as cursor:
        cursor.execute(statement, values or None)
