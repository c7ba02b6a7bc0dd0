"""Visits share transactions, and each still has a number, a failure and an outcome of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.visits
from service.counter import VisitCounter
from service.store import DatabaseUnavailable, OutcomeUnknown, Result, VisitCount
from tests.unit.service_fakes import FakeCache, FakeDatabase


class Gate:
    """Holds every commit until it is let through, and tells when one has come."""

    def __init__(self, database: FakeDatabase) -> None:
        self._come = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        database.before = self._pass

    def _pass(self) -> None:
        self._come.release()
        assert self._go.acquire(timeout=20), "nobody let the commit through"

    def await_one(self) -> None:
        assert self._come.acquire(timeout=20), "no commit came"

    def open(self, times: int = 1) -> None:
        self._go.release(times)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(homepage=0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def waiting(counter: VisitCounter) -> int:
    return len(counter._visits._waiting)


def start(pool: ThreadPoolExecutor, counter: VisitCounter, *pages: str) -> list[Future[VisitCount]]:
    """Visits that wait for the batch in flight, one after the other."""
    visits = []
    for page in pages:
        before = waiting(counter)
        visits.append(pool.submit(counter.visit, page))
        while waiting(counter) == before:
            threading.Event().wait(0.001)
    return visits


def test_a_lone_visit_commits_at_once_and_asks_the_cache_before_and_after(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    counter.visit("homepage")
    assert (database.batches, cache.asked) == ([{"homepage": 1}], 2)


def test_visits_that_come_while_a_commit_is_in_flight_share_the_next(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache, pool: ThreadPoolExecutor
) -> None:
    gate = Gate(database)
    first = pool.submit(counter.visit, "homepage")
    gate.await_one()
    others = start(pool, counter, "homepage", "about", "homepage", "about", "homepage")
    gate.open(2)
    assert first.result(20).visits == 1
    assert [(other.result(20).page, other.result(20).visits) for other in others] == [
        ("homepage", 2), ("about", 1), ("homepage", 3), ("about", 2), ("homepage", 4),
    ]  # fmt: skip
    assert database.batches == [{"homepage": 1}, {"homepage": 3, "about": 2}]
    assert cache.copies == {"homepage": 4, "about": 2}


def test_batches_that_follow_each_other_cost_one_cache_trip_each(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache, pool: ThreadPoolExecutor
) -> None:
    gate = Gate(database)
    visits = [pool.submit(counter.visit, "homepage")]
    gate.await_one()
    for _ in range(9):
        visits += start(pool, counter, "homepage", "homepage")
        gate.open()
        gate.await_one()
    gate.open()
    assert sorted(visit.result(20).visits for visit in visits) == list(range(1, 20))
    assert (len(database.batches), cache.asked) == (10, 11)


def test_no_visit_returns_before_the_cache_is_updated(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache, pool: ThreadPoolExecutor
) -> None:
    """So a client that got a number reads it, from any process."""
    seen: list[int] = []
    cache.before = lambda: seen.append(sum(visit.done() for visit in visits))
    visits: list[Future[VisitCount]] = []
    gate = Gate(database)
    visits.append(pool.submit(counter.visit, "homepage"))
    gate.await_one()
    visits += start(pool, counter, "homepage")
    gate.open(2)
    for visit in visits:
        visit.result(20)
    assert seen[:2] == [0, 0], "the first was answered before its count was stored"


@pytest.mark.parametrize("committed", [True, False])
def test_a_batch_that_fails_fails_its_own_visits_alone(
    committed: bool, counter: VisitCounter, database: FakeDatabase, pool: ThreadPoolExecutor
) -> None:
    gate = Gate(database)
    first = pool.submit(counter.visit, "homepage")
    gate.await_one()
    second = start(pool, counter, "homepage", "homepage", "about")
    gate.open()
    gate.await_one()
    database.breaks_on_commit = committed
    third = start(pool, counter, "homepage")
    gate.open()
    for visit in second:
        with pytest.raises(OutcomeUnknown):
            visit.result(20)
    database.breaks_on_commit = None
    gate.open()
    assert first.result(20).visits == 1
    assert third[0].result(20).visits == 2 + 2 * committed
    errors = {id(visit.exception()) for visit in second}
    assert len(errors) == 3, "each has an error of its own"


def test_a_refused_batch_counts_nothing_and_tells_the_last_known_count(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    counter.visit("homepage")
    database.down = True
    with pytest.raises(DatabaseUnavailable) as refusal:
        counter.visit("homepage")
    assert (refusal.value.last_known, database.counts) == (1, {"homepage": 1})


def test_a_leader_that_dies_strands_no_visit(
    counter: VisitCounter, database: FakeDatabase, pool: ThreadPoolExecutor
) -> None:
    class Death(BaseException):
        pass

    gate = Gate(database)
    first = pool.submit(counter.visit, "homepage")
    gate.await_one()
    second = start(pool, counter, "homepage", "homepage")

    def die() -> None:
        database.before = lambda: None
        raise Death

    database.before = die
    gate.open()
    assert first.result(20).visits == 1
    with pytest.raises((Death, OutcomeUnknown)):
        second[0].result(20)
    with pytest.raises(OutcomeUnknown):
        second[1].result(20)
    assert counter.visit("homepage").visits == 2


def test_a_leader_that_dies_after_its_commit_leaves_no_copy_that_lacks_it(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    counter.visit("homepage")

    def die() -> None:
        if database.counts["homepage"] == 2:
            cache.before = lambda: None
            raise SystemExit

    cache.before = die
    with pytest.raises(SystemExit):
        counter.visit("homepage")
    assert cache.copies == {"homepage": 1}
    assert counter.read("homepage").visits == 2


def test_a_batch_is_bounded_and_taken_in_order_of_arrival(
    counter: VisitCounter, database: FakeDatabase, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.visits, "_LARGEST", 3)
    gate = Gate(database)
    first = pool.submit(counter.visit, "homepage")
    gate.await_one()
    others = start(pool, counter, *["homepage"] * 7)
    gate.open(4)
    assert [visit.result(20).visits for visit in (first, *others)] == list(range(1, 9))
    assert database.batches == [{"homepage": size} for size in (1, 3, 3, 1)]


def test_each_batch_is_reported(database: FakeDatabase, cache: FakeCache) -> None:
    told: list[tuple[int, bool]] = []
    counter = VisitCounter(database, cache, on_commit=lambda size, seconds: told.append((size, seconds >= 0)))
    counter.visit("homepage")
    assert told == [(1, True)]


@settings(deadline=None, max_examples=60)
@given(
    pages=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=24),
    copy=st.none() | st.integers(0, 60),
    away=st.sampled_from([Result.HIT, Result.ERROR, Result.BYPASS]),
)
def test_numbers_are_exact_and_unique_and_the_cache_ends_at_the_truth(
    pages: list[str], copy: int | None, away: Result
) -> None:
    # A copy may be ahead of a database that was reset: a visit proves it wrong, where the cache can be asked.
    ahead = copy is not None and away is Result.HIT
    database, cache = FakeDatabase(), FakeCache(**({"a": copy or 0} if ahead else {}))
    counter = VisitCounter(database, cache)
    cache.result = away
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(counter.visit, pages))
    for page in set(pages):
        numbers = sorted(answer.visits for answer in answers if answer.page == page)
        assert numbers == list(range(1, pages.count(page) + 1))
    if away is Result.HIT:
        assert cache.copies.items() >= database.counts.items()
    cache.result = Result.HIT
    assert {page: counter.read(page).visits for page in set(pages)} == database.counts
