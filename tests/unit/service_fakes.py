"""A database and a cache in memory, with the rules of the real ones and switches for failures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from service.store import CacheUpdate, DatabaseUnavailable, Lookup, OutcomeUnknown, Result


class FakeDatabase:
    """Counts in a dict. `breaks_on_commit`: the outcome of a visit is lost, and it was committed (True) or not."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.down = False
        self.breaks_on_commit: bool | None = None
        self.possibly_down = False
        self.reads = 0
        self.batches: list[dict[str, int]] = []
        self.before: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def read(self, page: str) -> int | None:
        self.before()
        self._ask()
        with self._lock:
            self.reads += 1
        return self.counts.get(page)

    def add(self, visits: Mapping[str, int]) -> Mapping[str, int]:
        self.before()
        self._ask()
        with self._lock:
            self.batches.append(dict(visits))
            if self.breaks_on_commit is not False:
                for page, more in visits.items():
                    self.counts[page] = self.counts.get(page, 0) + more
            if self.breaks_on_commit is not None:
                raise OutcomeUnknown("lost")
            return {page: self.counts[page] for page in visits}

    def _ask(self) -> None:
        self.possibly_down = self.down
        if self.down:
            raise DatabaseUnavailable("down")


class FakeCache:
    """Copies in a dict, updated by the rules of advance.lua. While `result` is ERROR or BYPASS it does nothing."""

    def __init__(self, **copies: int) -> None:
        self.copies = copies
        self.result = Result.HIT
        self.asked = 0
        self.before: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def get(self, page: str) -> Lookup:
        return self.update_and_get((), (page,))[1][page]

    def update_and_get(
        self, updates: Collection[CacheUpdate], pages: Sequence[str]
    ) -> tuple[bool, Mapping[str, Lookup]]:
        if not updates and not pages:
            return True, {}
        self.before()
        self.asked += 1
        if self._is_away():
            return False, {page: Lookup(self.result) for page in pages}
        with self._lock:
            for update in updates:
                copy = self.copies.get(update.page, -1)
                if copy < update.count or (update.wrong is not None and copy >= update.wrong):
                    self.copies[update.page] = update.count
            found = {page: self.copies.get(page) for page in pages}
        return True, {
            page: Lookup(Result.MISS) if copy is None else Lookup(Result.HIT, copy) for page, copy in found.items()
        }

    def _is_away(self) -> bool:
        return self.result in (Result.ERROR, Result.BYPASS)
