"""A database and a cache in memory, with the rules of the real ones and switches for their failures."""

from __future__ import annotations

import threading
from collections.abc import Callable

from service.counter import DatabaseUnavailable, Lookup, OutcomeUnknown, Result


class FakeDatabase:
    """Counts in a dict. `down`, or `breaks_on_commit`: then a visit is committed, or not, and nobody is told."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.down = False
        self.breaks_on_commit: bool | None = None
        self.suspect = False
        self.reads = 0
        self.before: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def read(self, page: str) -> int:
        self.before()
        self._ask()
        with self._lock:
            self.reads += 1
        return self.counts.get(page, 0)

    def add(self, page: str, visits: int) -> int:
        self.before()
        self._ask()
        with self._lock:
            if self.breaks_on_commit is not False:
                self.counts[page] = self.counts.get(page, 0) + visits
            if self.breaks_on_commit is not None:
                raise OutcomeUnknown("lost")
            return self.counts[page]

    def _ask(self) -> None:
        self.suspect = self.down
        if self.down:
            raise DatabaseUnavailable("down")


class FakeCache:
    """Copies in a dict, moved by the rules of advance.lua. While `result` is ERROR or BYPASS it does nothing."""

    def __init__(self, **copies: int) -> None:
        self.copies = copies
        self.result = Result.HIT
        self.asked = 0
        self.before: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def get(self, page: str) -> Lookup:
        self.before()
        self.asked += 1
        if self._is_away():
            return Lookup(self.result)
        copy = self.copies.get(page)
        return Lookup(Result.MISS) if copy is None else Lookup(Result.HIT, copy)

    def advance(self, page: str, count: int, wrong: int | None = None) -> bool:
        self.before()
        self.asked += 1
        if self._is_away():
            return False
        with self._lock:
            copy = self.copies.get(page, -1)
            if copy < count or (wrong is not None and copy >= wrong):
                self.copies[page] = count
        return True

    def _is_away(self) -> bool:
        return self.result in (Result.ERROR, Result.BYPASS)
