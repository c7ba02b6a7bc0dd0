"""The rules of the visit counter: PostgreSQL is the truth, Redis is a copy that never runs ahead of it.

This module knows neither Flask nor a driver: it is given a database and a cache.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from .flights import Flights
from .floors import Floors
from .store import Answer, Cache, Database, DatabaseUnavailable, Lookup, Move, Result
from .visits import Observe, Visits

HOMEPAGE = "homepage"
_PAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# How long, in seconds, a page that PostgreSQL does not have is not asked for again, where Redis can't tell either.
_ABSENCE = 1.0
_MOST_ABSENT = 1000


class InvalidPage(ValueError):
    """A name that no page can have."""

    def __init__(self) -> None:
        super().__init__("A page name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit.")


def _nothing(size: int, seconds: float) -> None:
    """Nobody wants to know."""


class Counter:
    """Counts visits and reads counts. Safe to share between threads.

    `observe` is told of each batch of visits; `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        cache: Cache,
        observe: Observe = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._reads = Flights[Answer]()
        self._floors = Floors()
        self._visits = Visits(database, cache, self._floors, observe)
        self._absent: dict[str, float] = {}

    def visit(self, page: str) -> Answer:
        """Count one visit and return its own number, durable once this returns.

        Raises InvalidPage, DatabaseUnavailable (not counted) or OutcomeUnknown (perhaps counted).
        """
        _check(page)
        answer = self._visits.visit(page)
        self._absent.pop(page, None)
        return answer

    def read(self, page: str) -> Answer:
        """The count of `page`. Raises InvalidPage or, if neither can tell, DatabaseUnavailable.

        Those who ask for a page at the same time share one look-up, but none that began before they asked.
        """
        _check(page)
        return self._reads.share(page, lambda: self._read(page))

    def _read(self, page: str) -> Answer:
        _, lookups = self._cache.exchange((), (page,))
        lookup = self._floors.believe(page, lookups[page])
        if lookup.count is not None and not self._database.suspect:
            return Answer(page, lookup.count, "cache", lookup.result)
        try:
            return self._load(page, lookup)
        except DatabaseUnavailable:
            if lookup.last_known is None:
                raise
            return Answer(page, lookup.last_known, "cache", Result.HIT, stale=True)

    def _load(self, page: str, lookup: Lookup) -> Answer:
        """Ask PostgreSQL and fill the cache."""
        if self._is_absent(page, lookup):
            return Answer(page, 0, "database", lookup.result)
        floor = self._floors.of(page)
        found = self._database.read(page)
        count = found or 0
        if found is None:
            self._note_absent(page)
        # Nothing was added since it was looked up, so here an equal copy is right.
        wrong = lookup.count if lookup.count is not None and lookup.count > count else None
        # A cache that just failed is not asked again: it would cost another time limit.
        stored = lookup.answered and self._cache.exchange([Move(page, count, wrong)], ())[0]
        if stored:
            self._floors.forget(page, floor)
        else:
            self._floors.raise_to(page, count)
        return Answer(page, count, "database", lookup.result, stored)

    def _is_absent(self, page: str, lookup: Lookup) -> bool:
        """Whether PostgreSQL just said that there is no such page, and nobody here visited it since.

        Only while Redis can't tell: else it is what answers. A first visit in another process is then seen a second
        late.
        """
        noted = self._absent.get(page)
        return noted is not None and not lookup.answered and self._clock() - noted < _ABSENCE

    def _note_absent(self, page: str) -> None:
        while len(self._absent) >= _MOST_ABSENT:
            self._absent.pop(next(iter(self._absent)), None)
        self._absent[page] = self._clock()


def _check(page: str) -> None:
    if not _PAGE.fullmatch(page):
        raise InvalidPage
