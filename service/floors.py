"""The counts that the cache could not be told: until it has caught up, a lower copy is not believed."""

from __future__ import annotations

import math
import threading

from .store import Lookup, Result

_MOST = 1000


class Floors:
    """So a Redis that was away while visits were counted cannot answer with the count from before, once it is back.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._floors: dict[str, float] = {}

    def of(self, page: str) -> float:
        return self._floors.get(page, 0)

    def believe(self, page: str, lookup: Lookup) -> Lookup:
        """The same, but a copy below the floor is a miss."""
        if lookup.count is not None and lookup.count < self.of(page):
            return Lookup(Result.MISS, behind=lookup.count)
        return lookup

    def raise_to(self, page: str, count: float) -> None:
        with self._lock:
            floor = max(count, self._floors.pop(page, 0))
            self._floors[page] = floor
            if len(self._floors) > _MOST:
                del self._floors[next(iter(self._floors))]

    def unknown(self, page: str) -> None:
        """Believe no copy until the database was read again: it may have one visit more than is known."""
        self.raise_to(page, math.inf)

    def forget(self, page: str, floor: float) -> None:
        """Drop a floor that was known before the database was read, but none that was raised meanwhile."""
        with self._lock:
            if self._floors.get(page) == floor:
                del self._floors[page]
