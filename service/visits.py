"""Count visits in batches: those that arrive while a transaction is in flight share the next one.

Nobody waits for a timer. The first visitor leads: it commits its own visit at once. Who comes meanwhile waits, and the
first of them leads all of them next. So a page's row is written once a batch, and each visitor still gets a number of
its own that is durable.

The cache costs one round trip a batch while batches follow each other: what a batch committed is stored together with
the look-ups of the next. A batch that nobody follows needs two, one before its commit and one after.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .floors import Floors
from .store import Answer, Cache, Database, DatabaseUnavailable, Lookup, Move, OutcomeUnknown

Observe = Callable[[int, float], None]
"""Told of each committed batch: how many visits it had, and how many seconds its transaction took."""

# Above the threads of any worker, so it only bounds what one statement may become.
_LARGEST = 256


class _Visitor:
    """One visit, from its arrival to its outcome. `wake` is called for each of the things it waits for."""

    __slots__ = ("_woken", "outcome", "page", "turn")

    def __init__(self, page: str) -> None:
        self.page = page
        self.outcome: Answer | Exception | None = None
        self.turn: tuple[Sequence[_Visitor], _Committed | None] | None = None
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        self._woken.acquire()

    def wake(self) -> None:
        self._woken.release()

    def end(self, outcome: Answer | Exception) -> None:
        self.outcome = outcome
        self.wake()

    def lead(self, batch: Sequence[_Visitor], carried: _Committed | None) -> None:
        self.turn = batch, carried
        self.wake()


@dataclass(frozen=True)
class _Committed:
    """A batch whose visits are durable, and that the cache has not been told of."""

    visitors: Sequence[_Visitor]
    totals: Mapping[str, int]
    lookups: Mapping[str, Lookup]

    @property
    def moves(self) -> list[Move]:
        """A cache that just failed is not asked again: it would cost a time limit."""
        return [
            Move(page, total, self._wrong(page)) for page, total in self.totals.items() if self.lookups[page].answered
        ]

    def _wrong(self, page: str) -> int | None:
        """A copy that was looked up before the commit and is true is below the batch's numbers.

        One that is not belongs to a database that was since reset or restored, and would else stay for its time to
        live.
        """
        copy = self.lookups[page].count
        mine = sum(visitor.page == page for visitor in self.visitors)
        return copy if copy is not None and copy > self.totals[page] - mine else None


class Visits:
    """Safe to share between threads."""

    def __init__(self, database: Database, cache: Cache, floors: Floors, observe: Observe) -> None:
        self._database = database
        self._cache = cache
        self._floors = floors
        self._observe = observe
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: list[_Visitor] = []

    def visit(self, page: str) -> Answer:
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
        """Commit a batch, store the one before it, and hand over to those who came meanwhile."""
        following: Sequence[_Visitor] = ()
        try:
            lookups = self._look_up(batch, carried)
            carried = self._commit(batch, lookups)
            following = self._take()
            if not following:
                if carried is not None:
                    self._settle(carried, self._cache.exchange(carried.moves, ())[0])
                    carried = None
                following = self._take(or_rest=True)
        except BaseException as error:
            # Whatever it was, nobody is left waiting; and nothing is told that is not known.
            told_nothing = [*batch, *(carried.visitors if carried else ())]
            for visitor in told_nothing:
                self._floors.unknown(visitor.page)
            _fail(told_nothing, OutcomeUnknown(f"interrupted: {error!r}"))
            following, carried = self._take(or_rest=True), None
            raise
        finally:
            if following:
                following[0].lead(following, carried)

    def _take(self, or_rest: bool = False) -> Sequence[_Visitor]:
        """Those who wait now, first come first. With `or_rest`, and nobody there, whoever comes next leads."""
        with self._lock:
            taken, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            if or_rest and not taken:
                self._busy = False
        return taken

    def _look_up(self, batch: Sequence[_Visitor], carried: _Committed | None) -> Mapping[str, Lookup]:
        pages = sorted({visitor.page for visitor in batch})
        stored, lookups = self._cache.exchange(carried.moves if carried else (), pages)
        if carried is not None:
            self._settle(carried, stored)
        return {page: self._floors.believe(page, lookup) for page, lookup in lookups.items()}

    def _commit(self, batch: Sequence[_Visitor], lookups: Mapping[str, Lookup]) -> _Committed | None:
        """What was committed. Whoever is in a batch that was not is told so, and nobody else."""
        counts = Counter(visitor.page for visitor in batch)
        began = time.perf_counter()
        try:
            totals = self._database.add(counts)
        except (DatabaseUnavailable, OutcomeUnknown) as error:
            if isinstance(error, OutcomeUnknown):
                for page in counts:
                    self._floors.unknown(page)
            for visitor in batch:
                _fail([visitor], error, lookups[visitor.page].last_known)
            return None
        self._observe(len(batch), time.perf_counter() - began)
        return _Committed(batch, totals, lookups)

    def _settle(self, committed: _Committed, stored: bool) -> None:
        """Tell each visitor its number; the first to come has the lowest."""
        numbers = dict(committed.totals)
        for visitor in committed.visitors:
            numbers[visitor.page] -= 1
        for page, total in committed.totals.items():
            if not (stored and committed.lookups[page].answered):
                self._floors.raise_to(page, total)
        for visitor in committed.visitors:
            numbers[visitor.page] += 1
            lookup = committed.lookups[visitor.page]
            source = "database" if lookup.count is None else "cache"
            kept = stored and lookup.answered
            visitor.end(Answer(visitor.page, numbers[visitor.page], source, lookup.result, kept))


def _fail(
    visitors: Iterable[_Visitor], error: DatabaseUnavailable | OutcomeUnknown, last_known: int | None = None
) -> None:
    """Each gets an error of its own: one that several threads raise would tell of all of them."""
    for visitor in visitors:
        if visitor.outcome is None:
            own = type(error)(str(error))
            own.last_known = last_known
            visitor.end(own)
