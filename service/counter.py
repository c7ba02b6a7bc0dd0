"""The rules of the visit counter: PostgreSQL is the truth, and its copy in Redis never runs ahead of it.

This module depends on neither Flask nor a driver: it is given a database and a cache.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from .store import (
    Cache,
    CacheUpdate,
    Database,
    DatabaseUnavailable,
    Lookup,
    LowWaterMarks,
    Result,
    VisitCount,
)
from .visits import OnCommit, Visits

T = TypeVar("T")

_PAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# Seconds for which a page that PostgreSQL does not have is not queried again, if Redis cannot tell either.
_ABSENCE = 1.0
_MOST_ABSENT = 1000


class InvalidPage(ValueError):
    """A name that no page can have."""

    def __init__(self) -> None:
        super().__init__("A page name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit.")


def _ignore(size: int, seconds: float) -> None:
    """Record nothing."""


class VisitCounter:
    """Counts visits and reads counts. Thread-safe.

    `on_commit` is called for each batch of visits; `clock` returns seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        cache: Cache,
        on_commit: OnCommit = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._reads = Flights[VisitCount]()
        self._marks = LowWaterMarks()
        self._visits = Visits(database, cache, self._marks, on_commit)
        self._absent: dict[str, float] = {}

    def visit(self, page: str) -> VisitCount:
        """Count one visit and return its own number, durable once this returns.

        Raises InvalidPage, DatabaseUnavailable (not counted) or OutcomeUnknown (perhaps counted).
        """
        _check(page)
        count = self._visits.visit(page)
        self._absent.pop(page, None)
        return count

    def read(self, page: str) -> VisitCount:
        """Return the count of `page`. Raises InvalidPage or, if neither store can tell, DatabaseUnavailable.

        Concurrent reads of a page share one look-up, but never one that began before they were made.
        """
        _check(page)
        return self._reads.share(page, lambda: self._read(page))

    def _read(self, page: str) -> VisitCount:
        _, lookups = self._cache.update_and_get((), (page,))
        lookup = self._marks.apply(page, lookups[page])
        if lookup.count is not None and not self._database.possibly_down:
            return VisitCount(page, lookup.count, "cache", lookup.result)
        try:
            return self._load(page, lookup)
        except DatabaseUnavailable:
            if lookup.last_known is None:
                raise
            return VisitCount(page, lookup.last_known, "cache", Result.HIT, stale=True)

    def _load(self, page: str, lookup: Lookup) -> VisitCount:
        """Read the count from PostgreSQL and fill the cache."""
        if self._is_absent(page, lookup):
            return VisitCount(page, 0, "database", lookup.result)
        mark = self._marks.get(page)
        found = self._database.read(page)
        count = found or 0
        if found is None:
            self._note_absent(page)
        # Nothing was added since the look-up, so here a copy that is equal is right.
        wrong = lookup.count if lookup.count is not None and lookup.count > count else None
        # A cache that has just failed is left alone: a second call would cost another timeout.
        stored = lookup.answered and self._cache.update_and_get([CacheUpdate(page, count, wrong)], ())[0]
        if stored:
            self._marks.clear(page, mark)
        else:
            self._marks.raise_to(page, count)
        return VisitCount(page, count, "database", lookup.result, stored)

    def _is_absent(self, page: str, lookup: Lookup) -> bool:
        """Whether PostgreSQL had no such page a moment ago, and this process has counted no visit of it since.

        It applies only while Redis cannot tell. The first visit in another process is then seen a second late.
        """
        noted = self._absent.get(page)
        return noted is not None and not lookup.answered and self._clock() - noted < _ABSENCE

    def _note_absent(self, page: str) -> None:
        while len(self._absent) >= _MOST_ABSENT:
            self._absent.pop(next(iter(self._absent)), None)
        self._absent[page] = self._clock()


class _Flight(Generic[T]):
    """One call, and its outcome once it has ended.

    The waiting threads pass its lock on to each other: a future would double the cost of each call, and make the thread
    that ends it wake all the others.
    """

    __slots__ = ("_error", "_result", "_under_way")

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._result: list[T] = []
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def run(self, call: Callable[[], T]) -> None:
        """Make the call and keep its outcome for `result`."""
        try:
            self._result.append(call())
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        self._under_way.release()

    def wait(self) -> None:
        with self._under_way:
            return

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]


class Flights(Generic[T]):
    """Single flight: runs at most one call per key at a time; callers that arrive meanwhile share the next one.

    No caller gets the result of a call that began before its own: it could lack what was committed in between, even a
    visit that the same client has just been told of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Flight[T]] = {}
        self._waiting: dict[str, _Flight[T]] = {}

    def share(self, key: str, call: Callable[[], T]) -> T:
        """Return the result of a call that begins from now on, in this thread or another; raise what it raised."""
        with self._lock:
            flight = self._waiting.get(key)
            joins = flight is not None
            if flight is None:
                ahead, flight = self._running.get(key), _Flight[T]()
                (self._waiting if ahead else self._running)[key] = flight
        if joins:
            flight.wait()
            return flight.result()
        flight.run(lambda: self._run_in_turn(key, ahead, call))
        self._remove(key, flight)
        flight.end()
        return flight.result()

    def _run_in_turn(self, key: str, ahead: _Flight[T] | None, call: Callable[[], T]) -> T:
        if ahead is not None:
            ahead.wait()
            with self._lock:
                self._running[key] = self._waiting.pop(key)
        return call()

    def _remove(self, key: str, flight: _Flight[T]) -> None:
        """Remove a flight from wherever it is: one that was interrupted before its turn is still waiting."""
        with self._lock:
            for flights in (self._running, self._waiting):
                if flights.get(key) is flight:
                    del flights[key]


def _check(page: str) -> None:
    if not _PAGE.fullmatch(page):
        raise InvalidPage
