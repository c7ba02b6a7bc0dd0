"""The terms of the counter's rules: the two stores as protocols, the values they exchange, and low-water marks.

Nothing here depends on Flask or on a driver.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

HOMEPAGE = "homepage"
_MOST_MARKS = 1000


class DatabaseUnavailable(Exception):
    """PostgreSQL could not be reached, or refused. Nothing was counted. `last_known` is the count in Redis, if any."""

    last_known: int | None = None


class OutcomeUnknown(Exception):
    """The connection broke while a visit was being committed: it may or may not have been counted."""

    last_known: int | None = None


class Result(Enum):
    """How a look-up in the cache went. BYPASS: the cache has just failed and was not queried."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"
    BYPASS = "bypass"


@dataclass(frozen=True)
class Lookup:
    """What a look-up in the cache returned.

    `count` is None unless it is a HIT. `behind` is a copy that is known to lack visits.
    """

    result: Result
    count: int | None = None
    behind: int | None = None

    @property
    def answered(self) -> bool:
        """Whether the cache works."""
        return self.result in (Result.HIT, Result.MISS)

    @property
    def last_known(self) -> int | None:
        """The best count that is known without the database."""
        return self.behind if self.count is None else self.count


@dataclass(frozen=True)
class VisitCount:
    """The count of a page. `source` is where the look-up was answered: `cache` or `database`.

    `stored`: the count was then written to the cache. `stale`: the database is down and the count may be behind.
    """

    page: str
    visits: int
    source: str
    result: Result
    stored: bool = False
    stale: bool = False


@dataclass(frozen=True)
class CacheUpdate:
    """A committed count to store in the cache. `wrong`: a copy that was read there and proved to be too high."""

    page: str
    count: int
    wrong: int | None = None


class Database(Protocol):
    """The truth. Every call ends within a bounded time."""

    @property
    def possibly_down(self) -> bool:
        """Whether the database may be down, as far as is known without a query."""

    def read(self, page: str) -> int | None:
        """Return the committed count; None for a page without visits. Raises DatabaseUnavailable."""

    def add(self, visits: Mapping[str, int]) -> Mapping[str, int]:
        """Add visits to each page in one transaction and return the new counts.

        Raises DatabaseUnavailable (nothing was counted) or OutcomeUnknown.
        """


class Cache(Protocol):
    """The copy. It never raises: a cache that fails is a miss, and its updates are not stored."""

    def get(self, page: str) -> Lookup: ...

    def update_and_get(
        self, updates: Collection[CacheUpdate], pages: Sequence[str]
    ) -> tuple[bool, Mapping[str, Lookup]]:
        """Store committed counts, then look pages up, in one round trip.

        A higher copy stays unless it is `wrong` or above. True if the cache now has each count or a higher one.
        """


class LowWaterMarks:
    """The lowest count to trust for each page whose latest count could not be stored in the cache.

    So a Redis that was away while visits were counted cannot serve an older count when it is back. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[str, float] = {}

    def get(self, page: str) -> float:
        return self._marks.get(page, 0)

    def apply(self, page: str, lookup: Lookup) -> Lookup:
        """Return the look-up, or a miss if its copy is below the mark."""
        if lookup.count is not None and lookup.count < self.get(page):
            return Lookup(Result.MISS, behind=lookup.count)
        return lookup

    def raise_to(self, page: str, count: float) -> None:
        with self._lock:
            mark = max(count, self._marks.pop(page, 0))
            self._marks[page] = mark
            if len(self._marks) > _MOST_MARKS:
                del self._marks[next(iter(self._marks))]

    def distrust(self, page: str) -> None:
        """Trust no copy until the database has been read again: it may have one visit more than is known."""
        self.raise_to(page, math.inf)

    def clear(self, page: str, mark: float) -> None:
        """Remove a mark that was set before the database was read, unless it has been raised since."""
        with self._lock:
            if self._marks.get(page) == mark:
                del self._marks[page]
