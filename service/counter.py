"""The rules of the visit counter: PostgreSQL is the truth, Redis is a copy that never runs ahead of it.

This module knows neither Flask nor a driver: it is given a database and a cache.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from .flights import Flights

HOMEPAGE = "homepage"
_PAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MOST_FLOORS = 1000


class DatabaseUnavailable(Exception):
    """PostgreSQL could not be asked, or refused. Nothing was counted. `last_known` is the count in Redis, if any."""

    last_known: int | None = None


class OutcomeUnknown(Exception):
    """The connection broke while a visit was being committed: it may or may not have been counted."""

    last_known: int | None = None


class InvalidPage(ValueError):
    """A name that no page can have."""

    def __init__(self) -> None:
        super().__init__("A page name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit.")


class Result(Enum):
    """How a look-up in the cache went: BYPASS when a broken cache was not even asked."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"
    BYPASS = "bypass"


@dataclass(frozen=True)
class Lookup:
    """What the cache said: `count` with a HIT, else None. `behind` is a copy that is known to lack visits."""

    result: Result
    count: int | None = None
    behind: int | None = None

    @property
    def last_known(self) -> int | None:
        """What can be told if the database cannot be asked."""
        return self.behind if self.count is None else self.count


@dataclass(frozen=True)
class Answer:
    """A count, where the look-up was answered (`cache` or `database`), and how.

    `stored`: this request wrote the count to the cache. `stale`: the database is down, the count may be behind.
    """

    page: str
    visits: int
    source: str
    result: Result
    stored: bool = False
    stale: bool = False


class Database(Protocol):
    """The truth. Every call ends within a bounded time."""

    @property
    def suspect(self) -> bool:
        """Whether the database may be down, as far as is known without asking it."""

    def read(self, page: str) -> int:
        """The committed count; 0 for a page nobody visited. Raises DatabaseUnavailable."""

    def add(self, page: str, visits: int) -> int:
        """Commit `visits` more and return the new count. Raises DatabaseUnavailable or OutcomeUnknown."""


class Cache(Protocol):
    """The copy. It never raises: a failing cache is a miss, and what it was not told is not stored."""

    def get(self, page: str) -> Lookup: ...

    def advance(self, page: str, count: int, wrong: int | None = None) -> bool:
        """Store the committed `count` unless a higher one is there; True if the cache now has it or a higher one.

        `wrong` is a count that was read from the cache and proved to be ahead of the truth: it and all above it
        are overwritten.
        """


class Counter:
    """Counts visits and reads counts. Safe to share between threads."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache
        self._flights = Flights[tuple[int, bool]]()
        self._floors = _Floors()

    def read(self, page: str) -> Answer:
        """The count of `page`. Raises InvalidPage or, if neither can tell, DatabaseUnavailable."""
        lookup = self._look_up(page)
        if lookup.count is not None and not self._database.suspect:
            return Answer(page, lookup.count, "cache", lookup.result)
        try:
            return self._from_database(page, lookup)
        except DatabaseUnavailable:
            if lookup.last_known is None:
                raise
            return Answer(page, lookup.last_known, "cache", Result.HIT, stale=True)

    def visit(self, page: str) -> Answer:
        """Count one visit and return its own number, durable once this returns.

        Raises InvalidPage, DatabaseUnavailable (not counted) or OutcomeUnknown (perhaps counted).
        """
        lookup = self._look_up(page)
        try:
            found = self._from_database(page, lookup) if lookup.count is None else None
            number = self._commit(page)
        except (DatabaseUnavailable, OutcomeUnknown) as error:
            if lookup.last_known is not None:  # an error may be shared with others who asked for this page
                error.last_known = lookup.last_known
            if isinstance(error, OutcomeUnknown):
                self._floors.unknown(page)
            raise
        # A true copy was committed before this visit and is below its number: one that is not belongs to a
        # database that was since reset or restored, and would else stay until its time to live is over.
        wrong = lookup.count if lookup.count is not None and lookup.count >= number else None
        stored = self._store(page, number, lookup, wrong)
        return Answer(page, number, found.source if found else "cache", lookup.result, stored)

    def _commit(self, page: str) -> int:
        """The seam for batching: who shares a transaction with others takes a number of its total instead."""
        return self._database.add(page, 1)

    def _look_up(self, page: str) -> Lookup:
        if not _PAGE.fullmatch(page):
            raise InvalidPage
        lookup = self._cache.get(page)
        if lookup.count is not None and lookup.count < self._floors.of(page):
            return Lookup(Result.MISS, behind=lookup.count)
        return lookup

    def _from_database(self, page: str, lookup: Lookup) -> Answer:
        """Ask PostgreSQL, together with all who ask now, and fill the cache."""
        count, stored = self._flights.share(page, lambda: self._load(page, lookup))
        return Answer(page, count, "database", lookup.result, stored)

    def _load(self, page: str, lookup: Lookup) -> tuple[int, bool]:
        """The count, and whether the cache has it."""
        if lookup.result is Result.MISS:
            # Those who waited for another's query find in the cache what it brought.
            lookup = self._look_up(page)
            if lookup.count is not None:
                return lookup.count, True
        floor = self._floors.of(page)
        count = self._database.read(page)
        # Here an equal copy is right: nothing was added since it was looked up.
        wrong = lookup.count if lookup.count is not None and lookup.count > count else None
        stored = self._store(page, count, lookup, wrong)
        if stored:
            self._floors.forget(page, floor)
        return count, stored

    def _store(self, page: str, count: int, lookup: Lookup, wrong: int | None) -> bool:
        """Move the cache to a committed count. One that just failed is not asked again: it would cost a timeout."""
        answers = lookup.result in (Result.HIT, Result.MISS)
        stored = answers and self._cache.advance(page, count, wrong)
        if not stored:
            self._floors.raise_to(page, count)
        return stored


class _Floors:
    """The counts that the cache could not be told: until it has caught up, a lower copy is not believed.

    So a Redis that was away while visits were counted cannot answer with the count from before, once it is back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._floors: dict[str, float] = {}

    def of(self, page: str) -> float:
        return self._floors.get(page, 0)

    def raise_to(self, page: str, count: float) -> None:
        with self._lock:
            floor = max(count, self._floors.pop(page, 0))
            self._floors[page] = floor
            if len(self._floors) > _MOST_FLOORS:
                del self._floors[next(iter(self._floors))]

    def unknown(self, page: str) -> None:
        """Believe no copy until the database was read again: it may have one visit more than is known."""
        self.raise_to(page, math.inf)

    def forget(self, page: str, floor: float) -> None:
        """Drop a floor that was known before the database was read, but none that was raised meanwhile."""
        with self._lock:
            if self._floors.get(page) == floor:
                del self._floors[page]
