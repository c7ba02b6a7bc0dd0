"""A database and a cache in memory, with the rules of the real ones and switches for their failures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from service.store import DatabaseUnavailable, Lookup, Move, OutcomeUnknown, Result


class FakeDatabase:
    """Counts in a dict. `down`, or `breaks_on_commit`: then a visit is committed, or not, and nobody is told."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.down = False
        self.breaks_on_commit: bool | None = None
        self.suspect = False
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
        return self.exchange((), (page,))[1][page]

    def exchange(self, moves: Collection[Move], pages: Sequence[str]) -> tuple[bool, Mapping[str, Lookup]]:
        if not moves and not pages:
            return True, {}
        self.before()
        self.asked += 1
        if self._is_away():
            return False, {page: Lookup(self.result) for page in pages}
        with self._lock:
            for move in moves:
                copy = self.copies.get(move.page, -1)
                if copy < move.count or (move.wrong is not None and copy >= move.wrong):
                    self.copies[move.page] = move.count
            found = {page: self.copies.get(page) for page in pages}
        return True, {
            page: Lookup(Result.MISS) if copy is None else Lookup(Result.HIT, copy) for page, copy in found.items()
        }

    def _is_away(self) -> bool:
        return self.result in (Result.ERROR, Result.BYPASS)
