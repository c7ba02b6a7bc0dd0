"""Count visits in batches: those that arrive while a transaction is in flight share the next one.

No timer is involved. The first visit leads: it commits itself at once. Visits that arrive meanwhile wait, and the first
of them then leads them all. So a page's row is written once per batch, and each visit still gets a durable number of
its own.

The cache costs one round trip per batch while batches follow each other: a batch's counts are stored together with the
look-ups of the next. A batch without a successor needs two, one before its commit and one after.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .store import (
    Cache,
    CacheUpdate,
    Database,
    DatabaseUnavailable,
    Lookup,
    LowWaterMarks,
    OutcomeUnknown,
    VisitCount,
)

OnCommit = Callable[[int, float], None]
"""Called for each committed batch with its number of visits and the seconds that its transaction took."""

# Above the number of threads of any worker, so it only bounds the size of one statement.
_LARGEST = 256


class _Visitor:
    """One visit, from its arrival to its outcome. `wake` is called when it has either a turn to lead or an outcome."""

    __slots__ = ("_woken", "outcome", "page", "turn")

    def __init__(self, page: str) -> None:
        self.page = page
        self.outcome: VisitCount | Exception | None = None
        self.turn: tuple[Sequence[_Visitor], _Committed | None] | None = None
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        self._woken.acquire()

    def wake(self) -> None:
        self._woken.release()

    def end(self, outcome: VisitCount | Exception) -> None:
        self.outcome = outcome
        self.wake()

    def lead(self, batch: Sequence[_Visitor], carried: _Committed | None) -> None:
        self.turn = batch, carried
        self.wake()


@dataclass(frozen=True)
class _Committed:
    """A batch whose visits are durable but not yet stored in the cache."""

    visitors: Sequence[_Visitor]
    totals: Mapping[str, int]
    lookups: Mapping[str, Lookup]

    @property
    def updates(self) -> list[CacheUpdate]:
        """The updates for the cache; none if it has just failed, because a second call would cost a timeout."""
        return [
            CacheUpdate(page, total, self._wrong(page))
            for page, total in self.totals.items()
            if self.lookups[page].answered
        ]

    def _wrong(self, page: str) -> int | None:
        """Return the copy if it is too high: a true one, looked up before the commit, is below the batch's numbers.

        Such a copy is of a database that was since reset or restored, and would otherwise stay for its time to live.
        """
        copy = self.lookups[page].count
        mine = sum(visitor.page == page for visitor in self.visitors)
        return copy if copy is not None and copy > self.totals[page] - mine else None


class Visits:
    """Groups concurrent visits into transactions. Thread-safe."""

    def __init__(self, database: Database, cache: Cache, marks: LowWaterMarks, on_commit: OnCommit) -> None:
        self._database = database
        self._cache = cache
        self._marks = marks
        self._on_commit = on_commit
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: list[_Visitor] = []

    def visit(self, page: str) -> VisitCount:
        """Count one visit of a page. Raises DatabaseUnavailable (not counted) or OutcomeUnknown (perhaps counted)."""
        me = _Visitor(page)
        with self._lock:
            first = not self._busy
            self._busy = True
            if not first:
                self._waiting.append(me)
        if first:
            self._lead([me], None)
        while me.outcome is None:
            me.wait()
            if me.turn is not None:
                turn, me.turn = me.turn, None
                self._lead(*turn)
        if isinstance(me.outcome, Exception):
            raise me.outcome
        return me.outcome

    def _lead(self, batch: Sequence[_Visitor], carried: _Committed | None) -> None:
        """Commit a batch, store the one before it, and hand over to the visits that arrived meanwhile."""
        following: Sequence[_Visitor] = ()
        try:
            lookups = self._look_up(batch, carried)
            carried = self._commit(batch, lookups)
            following = self._take()
            if not following:
                if carried is not None:
                    self._settle(carried, self._cache.update_and_get(carried.updates, ())[0])
                    carried = None
                following = self._take(or_rest=True)
        except BaseException as error:
            # Whatever happened, no visit may be left waiting, or get an outcome that is not certain.
            unsettled = [*batch, *(carried.visitors if carried else ())]
            for visitor in unsettled:
                self._marks.distrust(visitor.page)
            _fail(unsettled, OutcomeUnknown(f"interrupted: {error!r}"))
            following, carried = self._take(or_rest=True), None
            raise
        finally:
            if following:
                following[0].lead(following, carried)

    def _take(self, or_rest: bool = False) -> Sequence[_Visitor]:
        """Take the waiting visits, in order of arrival. With `or_rest` and none waiting, the next to arrive leads."""
        with self._lock:
            taken, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            if or_rest and not taken:
                self._busy = False
        return taken

    def _look_up(self, batch: Sequence[_Visitor], carried: _Committed | None) -> Mapping[str, Lookup]:
        pages = sorted({visitor.page for visitor in batch})
        stored, lookups = self._cache.update_and_get(carried.updates if carried else (), pages)
        if carried is not None:
            self._settle(carried, stored)
        return {page: self._marks.apply(page, lookup) for page, lookup in lookups.items()}

    def _commit(self, batch: Sequence[_Visitor], lookups: Mapping[str, Lookup]) -> _Committed | None:
        """Commit the batch; on failure, fail exactly its members and return None."""
        counts = collections.Counter(visitor.page for visitor in batch)
        began = time.perf_counter()
        try:
            totals = self._database.add(counts)
        except (DatabaseUnavailable, OutcomeUnknown) as error:
            if isinstance(error, OutcomeUnknown):
                for page in counts:
                    self._marks.distrust(page)
            for visitor in batch:
                _fail([visitor], error, lookups[visitor.page].last_known)
            return None
        self._on_commit(len(batch), time.perf_counter() - began)
        return _Committed(batch, totals, lookups)

    def _settle(self, committed: _Committed, stored: bool) -> None:
        """Give each visit its number; the first to arrive gets the lowest."""
        numbers = dict(committed.totals)
        for visitor in committed.visitors:
            numbers[visitor.page] -= 1
        for page, total in committed.totals.items():
            if not (stored and committed.lookups[page].answered):
                self._marks.raise_to(page, total)
        for visitor in committed.visitors:
            numbers[visitor.page] += 1
            lookup = committed.lookups[visitor.page]
            source = "database" if lookup.count is None else "cache"
            kept = stored and lookup.answered
            visitor.end(VisitCount(visitor.page, numbers[visitor.page], source, lookup.result, kept))


def _fail(
    visitors: Iterable[_Visitor], error: DatabaseUnavailable | OutcomeUnknown, last_known: int | None = None
) -> None:
    """Give each visit an exception of its own: threads that raised the same one would mix up their tracebacks."""
    for visitor in visitors:
        if visitor.outcome is None:
            own = type(error)(str(error))
            own.last_known = last_known
            visitor.end(own)
