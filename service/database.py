"""The truth: the table `visit_counter` in PostgreSQL."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
from psycopg2.errors import UndefinedTable

from .breaker import Breaker
from .config import Config
from .connection import Connection, ConnectionLost
from .counter import HOMEPAGE
from .pool import Pool
from .store import DatabaseUnavailable, OutcomeUnknown

DEADLINE = 2.0  # seconds for a whole call: a place in the pool, a connection, the statement
STATEMENT_TIMEOUT = 1.5  # less, so that a server that is only slow refuses, and the outcome is known
POOL_SIZE = 8  # those that commit take one at a time, the others read

T = TypeVar("T")
Call = Callable[[Connection, float], T]

_log = logging.getLogger(__name__)

_SCHEMA = (Path(__file__).parent / "migrations" / "0001_visit_counter.sql").read_text(encoding="utf-8")
_READ = "SELECT visits FROM visit_counter WHERE page = %(page)s"
_ADD = """
    UPDATE visit_counter SET visits = visits + %(visits)s, updated_at = now()
    WHERE page = %(page)s RETURNING page, visits
"""
# The rows are locked in the order of the arrays, which is that of the names: so no two batches wait for each other.
_ADD_MANY = """
    INSERT INTO visit_counter AS counter (page, visits)
    SELECT * FROM unnest(%(pages)s::text[], %(visits)s::bigint[])
    ON CONFLICT (page) DO UPDATE SET visits = counter.visits + EXCLUDED.visits, updated_at = now()
    RETURNING page, visits
"""


class Database:
    """Reads and adds visits; every call ends within `DEADLINE`. Safe to share between threads, not across a fork.

    A missing table or row is made when it is missed, so a database that was reset heals by itself.
    """

    def __init__(self, config: Config, breaker: Breaker) -> None:
        self._breaker = breaker
        self._pool = Pool(lambda deadline: Connection(config, deadline, STATEMENT_TIMEOUT), POOL_SIZE)

    @property
    def suspect(self) -> bool:
        """Whether the last call failed or the server has hung up."""
        return self._breaker.last_failed or self._pool.was_hung_up()

    def prepare(self) -> None:
        """Connect and make the table, if the server is up; if not, the first call that finds it up does."""
        try:
            self.read(HOMEPAGE)
        except DatabaseUnavailable as error:
            _log.warning("started without the database: %s", error)

    def read(self, page: str) -> int | None:
        """The committed count; None for a page that nobody visited. Raises DatabaseUnavailable."""
        try:
            return self._run(lambda connection, deadline: _read(connection, page, deadline))
        except OutcomeUnknown as error:
            raise DatabaseUnavailable(str(error)) from error

    def add(self, visits: Mapping[str, int]) -> Mapping[str, int]:
        """Commit so many more of each page, all or none, and return their new counts.

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
        """Nothing was counted if there was no connection or the server refused; unknown if it broke in between."""
        deadline = time.monotonic() + DEADLINE
        try:
            with self._pool.connection(deadline) as connection:
                try:
                    return _healing(connection, deadline, call)
                except ConnectionLost as error:
                    raise OutcomeUnknown(str(error)) from error
        except (ConnectionLost, psycopg2.Error) as error:
            raise DatabaseUnavailable(str(error).partition("\n")[0]) from error


def _healing(connection: Connection, deadline: float, call: Call[T]) -> T:
    """A statement on a table that is not there did nothing, so it may be repeated once it is."""
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
    """The plain update of a row that is there costs a third less than the other statement."""
    [(page, more)] = visits.items()
    return connection.execute(_ADD, {"page": page, "visits": more}, deadline)
