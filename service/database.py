"""The table `visit_counter` in PostgreSQL: its statements, a pool, and connections on which every call has a deadline.

psycopg2 cannot time out a call by itself, and `statement_timeout` is enforced by the server, which may be frozen. So a
connection is an asynchronous one, and `Connection` waits for its socket. Asynchronous connections commit every
statement. Deadlines are times of `time.monotonic`.
"""

from __future__ import annotations

import logging
import re
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions
from psycopg2.errors import UndefinedTable

from .breaker import Breaker
from .config import Config
from .store import HOMEPAGE, DatabaseUnavailable, OutcomeUnknown

DEADLINE = 2.0  # seconds for a whole call: a place in the pool, a connection, the statement
STATEMENT_TIMEOUT = 1.5  # shorter, so that a server that is only slow refuses, and the outcome is known
POOL_SIZE = 8  # commits use one connection at a time, reads the others
_ROTATION = 0.5  # seconds for which a password that is about to be replaced may be refused

T = TypeVar("T")
Call = Callable[["Connection", float], T]

_log = logging.getLogger(__name__)

_SCHEMA = (Path(__file__).parent / "migrations" / "0001_visit_counter.sql").read_text(encoding="utf-8")
_READ = "SELECT visits FROM visit_counter WHERE page = %(page)s"
_ADD = """
    UPDATE visit_counter SET visits = visits + %(visits)s, updated_at = now()
    WHERE page = %(page)s RETURNING page, visits
"""
# Rows are locked in the order of the arrays, which are sorted by page: so two batches cannot deadlock.
_ADD_MANY = """
    INSERT INTO visit_counter AS counter (page, visits)
    SELECT * FROM unnest(%(pages)s::text[], %(visits)s::bigint[])
    ON CONFLICT (page) DO UPDATE SET visits = counter.visits + EXCLUDED.visits, updated_at = now()
    RETURNING page, visits
"""

_POLLED = {
    psycopg2.extensions.POLL_READ: select.POLLIN,
    psycopg2.extensions.POLL_WRITE: select.POLLOUT,
}
_REFUSED = re.compile("password authentication failed|no password supplied")


class PostgresDatabase:
    """Reads and adds visits; every call ends within `DEADLINE`. Thread-safe, but not across a fork.

    A missing table or row is created on first use, so the service recovers from a reset database by itself.
    """

    def __init__(self, config: Config, breaker: Breaker) -> None:
        self._breaker = breaker
        self._pool = Pool(lambda deadline: Connection(config, deadline, STATEMENT_TIMEOUT), POOL_SIZE)

    @property
    def possibly_down(self) -> bool:
        """Whether the last call failed or the server has closed the connection."""
        return self._breaker.last_failed or self._pool.closed_by_server()

    def prepare(self) -> None:
        """Connect and create the table if the server is up; if not, the first call that finds it up does."""
        try:
            self.read(HOMEPAGE)
        except DatabaseUnavailable as error:
            _log.warning("started without the database: %s", error)

    def read(self, page: str) -> int | None:
        """Return the committed count; None for a page without visits. Raises DatabaseUnavailable."""
        try:
            return self._run(lambda connection, deadline: _read(connection, page, deadline))
        except OutcomeUnknown as error:
            raise DatabaseUnavailable(str(error)) from error

    def add(self, visits: Mapping[str, int]) -> Mapping[str, int]:
        """Add visits to each page in one transaction and return the new counts.

        Raises DatabaseUnavailable (nothing was counted) or OutcomeUnknown.
        """
        return self._run(lambda connection, deadline: _add(connection, visits, deadline))

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _run(self, call: Call[T]) -> T:
        if not self._breaker.allows():
            raise DatabaseUnavailable("PostgreSQL did not answer a moment ago")
        try:
            result = self._attempt(call)
        except (DatabaseUnavailable, OutcomeUnknown) as error:
            self._breaker.failed(str(error))
            raise
        self._breaker.succeeded()
        return result

    def _attempt(self, call: Call[T]) -> T:
        """Make a call once.

        Without a connection, or if the server refused, nothing was counted; if the connection broke, it is unknown.
        """
        deadline = time.monotonic() + DEADLINE
        try:
            with self._pool.connection(deadline) as connection:
                try:
                    return _creating_table(connection, deadline, call)
                except ConnectionLost as error:
                    raise OutcomeUnknown(str(error)) from error
        except (ConnectionLost, psycopg2.Error) as error:
            raise DatabaseUnavailable(str(error).partition("\n")[0]) from error


def _creating_table(connection: Connection, deadline: float, call: Call[T]) -> T:
    """Make a call, and repeat it with the table created if that is missing: the first attempt then did nothing."""
    try:
        return call(connection, deadline)
    except UndefinedTable:
        connection.execute(_SCHEMA, {}, deadline)
        return call(connection, deadline)


def _read(connection: Connection, page: str, deadline: float) -> int | None:
    rows = connection.execute(_READ, {"page": page}, deadline)
    return int(rows[0][0]) if rows else None


def _add(connection: Connection, visits: Mapping[str, int], deadline: float) -> Mapping[str, int]:
    rows = _add_one(connection, visits, deadline) if len(visits) == 1 else []
    if not rows:
        pages = sorted(visits)
        parameters: dict[str, object] = {"pages": pages, "visits": [visits[page] for page in pages]}
        rows = connection.execute(_ADD_MANY, parameters, deadline)
    return {page: int(count) for page, count in rows}


def _add_one(connection: Connection, visits: Mapping[str, int], deadline: float) -> list[tuple[Any, ...]]:
    """Update a row that exists: a plain UPDATE costs a third less than the upsert. Return no rows if there is none."""
    [(page, more)] = visits.items()
    return connection.execute(_ADD, {"page": page, "visits": more}, deadline)


class Pool:
    """At most `size` connections per process, opened when needed; the one used last is used next.

    `connect` opens one by a deadline, as `Connection` does.
    """

    def __init__(self, connect: Callable[[float], Connection], size: int) -> None:
        self._connect = connect
        self._places = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self, deadline: float) -> Iterator[Connection]:
        """Lend a live connection to one caller. Raises ConnectionLost if there is none by the deadline.

        A server that restarted has closed the idle connections: they are discarded before anything is sent on them, so
        nothing is repeated.
        """
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise ConnectionLost("all connections to PostgreSQL are in use")
        try:
            connection = self._take() or self._connect(deadline)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def closed_by_server(self) -> bool:
        """Whether the server has closed the connection that would be used next."""
        return any(connection.closed_by_server() for connection in self._idle[-1:])

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if not connection.closed_by_server():
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()


class ConnectionLost(Exception):
    """The connection broke or its deadline passed; whether a statement that was under way ran is unknown."""


class Connection:
    """A connection, used by one thread at a time."""

    def __init__(self, config: Config, deadline: float, statement_timeout: float) -> None:
        """Connect. The server aborts a statement after `statement_timeout` seconds. Raises ConnectionLost."""
        self._in_use = False
        rotated_by = min(deadline, time.monotonic() + _ROTATION)
        while True:
            password = config.db_password()
            try:
                return self._connect(config, password, deadline, statement_timeout)
            except psycopg2.Error as error:
                if not _REFUSED.search(str(error)) or not _is_replaced(config, password, rotated_by):
                    raise ConnectionLost(_first_line(error)) from error

    def _connect(self, config: Config, password: str | None, deadline: float, statement_timeout: float) -> None:
        self._raw: Any = psycopg2.connect(
            host=config.db_host,
            port=config.db_port,
            dbname=config.db_name,
            user=config.db_user,
            password=password,
            application_name="visit-counter",
            options=f"-c statement_timeout={round(statement_timeout * 1000)}",
            async_=True,
        )
        try:
            self._wait(deadline)
        except psycopg2.Error:
            self.close()
            raise

    @property
    def is_usable(self) -> bool:
        """Whether it is open and no statement is under way on it."""
        return not self._in_use and not self._raw.closed

    def closed_by_server(self) -> bool:
        """Whether the server has closed an idle connection: nothing else makes the socket of one readable."""
        try:
            ended = self._raw.closed or _ready(self._raw.fileno(), select.POLLIN, 0)
        except psycopg2.InterfaceError:  # another thread took it, and closed it, just now
            return False
        return bool(ended) and not self._in_use

    def execute(self, statement: str, parameters: dict[str, object], deadline: float) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows.

        Raises psycopg2.Error if the server refused it and so left no trace of it, or ConnectionLost.
        """
        self._in_use = True
        try:
            cursor = self._raw.cursor()
            cursor.execute(statement, parameters)
            self._wait(deadline)
        except psycopg2.Error as error:
            if self._raw.closed:
                raise ConnectionLost(_first_line(error)) from error
            self._in_use = False
            raise
        self._in_use = False
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._raw.close()

    def _wait(self, deadline: float) -> None:
        """Wait until the connection has finished its work. At the deadline, close it and raise ConnectionLost."""
        while (state := self._raw.poll()) != psycopg2.extensions.POLL_OK:
            if not _ready(self._raw.fileno(), _POLLED[state], deadline - time.monotonic()):
                self.close()
                raise ConnectionLost("PostgreSQL does not answer")


def _is_replaced(config: Config, password: str | None, until: float) -> bool:
    """Wait for another password in the file: during a rotation the server knows the new one first."""
    pause = threading.Event()
    while (same := config.db_password() == password) and time.monotonic() < until:
        pause.wait(0.02)
    return not same


def _ready(descriptor: int, events: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(max(0, round(seconds * 1000))))


def _first_line(error: Exception) -> str:
    """Return the cause on one line; the driver never puts a password in its messages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
