"""Fresh databases for single tests: copies of one that is migrated, which takes a fraction of migrating each.

The user of the database gets the right to create databases in the instance of the tests, and in no other.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stack.declaration import load_stack
from stack.errors import StackError
from stack.frozen import dataclass
from stack.model import Stack
from stack.testing.running import RunningStack
from stack.workflow.access import data_store, login_of

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# In the configuration of pytest.
SETTING = "stackctl_database"
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
    def opened(cls, stack: RunningStack, component: str, worker: str) -> Iterator[Databases]:
        """Prepare the database of a component to be copied, once for all workers. Raises `StackError`."""
        base = _database_of(stack, component)
        with contextlib.closing(_connect(replace(base, name=_OTHER))) as session:
            session.autocommit = True
            _prepare(stack, component, base, session)
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


def choose_component(declared: Stack, named: str) -> str:
    """Return the component whose database is copied: the one that is `named`, else the only one.

    Raises `usage` if there is no such one, or several and none is named.
    """
    found = [each.name for each in declared if each.dumps is not None]
    if named in found or (len(found) == 1 and not named):
        return named or found[0]
    if not found:
        problem = f"{declared.name} has no database that could be copied for a test"
        raise StackError("usage", problem, "declare a `Postgres` in its stack file")
    listed = ", ".join(found)
    problem = f"{declared.name} has several databases: {listed}"
    if named:
        problem = f"{declared.name} has no database {named}, which `{SETTING}` names; it has: {listed}"
    hint = f"write `{SETTING} = {found[0]}` into the configuration of pytest, with the name of the one to copy"
    raise StackError("usage", problem, hint)


def _database_of(stack: RunningStack, component: str) -> Database:
    declared = load_stack(stack.file)
    data, login = data_store(declared, component), login_of(declared, component)
    assert data is not None  # noqa: S101 - what has dumps has data,
    assert login is not None  # noqa: S101 - and a user.
    account, password = data.identity(), stack.secret(login.secret.id)
    return Database("127.0.0.1", stack.ports[component], account["database"], account["user"], password)


def _prepare(stack: RunningStack, component: str, base: Database, session: Connection) -> None:
    """Copy the database of the stack unless another worker has. If that fails, the session ends, and the lock too."""
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,))
        if cursor.fetchone() is None:
            stack.administer(component, f'ALTER ROLE "{base.user}" CREATEDB')
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
