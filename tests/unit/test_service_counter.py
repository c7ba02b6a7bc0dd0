"""The rules of the counter, without Flask and without servers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.counter import InvalidPage, VisitCounter
from service.store import DatabaseUnavailable, OutcomeUnknown, Result, VisitCount
from tests.unit.service_fakes import FakeCache, FakeDatabase


def test_a_visit_on_a_cold_cache_fills_it_from_the_database(counter: VisitCounter, cache: FakeCache) -> None:
    assert counter.visit("homepage") == VisitCount("homepage", 42, "database", Result.MISS, stored=True)
    assert cache.copies == {"homepage": 42}


def test_a_visit_on_a_warm_cache_is_looked_up_there(counter: VisitCounter, database: FakeDatabase) -> None:
    counter.visit("homepage")
    assert counter.visit("homepage") == VisitCount("homepage", 43, "cache", Result.HIT, stored=True)
    assert database.reads == 0, "what a visit needs of PostgreSQL its commit brings"


def test_a_read_fills_the_cache_and_counts_nothing(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    assert counter.read("homepage") == VisitCount("homepage", 41, "database", Result.MISS, stored=True)
    assert counter.read("homepage") == VisitCount("homepage", 41, "cache", Result.HIT)
    assert (database.counts, cache.copies, database.reads) == ({"homepage": 41}, {"homepage": 41}, 1)


def test_an_unvisited_page_reads_0_and_costs_one_query(counter: VisitCounter, database: FakeDatabase) -> None:
    assert [counter.read("new").visits for _ in range(3)] == [0, 0, 0]
    assert database.reads == 1


@pytest.mark.parametrize("page", ["", "A", "-a", ".", "a/b", "a b", "é", "a" * 65, "a\n"])
def test_a_name_that_no_page_can_have_is_refused_before_anything_is_asked(
    page: str, counter: VisitCounter, cache: FakeCache
) -> None:
    for ask in (counter.read, counter.visit):
        with pytest.raises(InvalidPage):
            ask(page)
    assert cache.asked == 0


@pytest.mark.parametrize("result", [Result.ERROR, Result.BYPASS])
def test_without_a_cache_counts_are_exact_and_from_the_database(
    result: Result, counter: VisitCounter, cache: FakeCache
) -> None:
    cache.result = result
    assert counter.visit("homepage") == VisitCount("homepage", 42, "database", result)
    assert counter.read("homepage") == VisitCount("homepage", 42, "database", result)


def test_after_a_failed_look_up_a_request_skips_the_cache(counter: VisitCounter, cache: FakeCache) -> None:
    cache.result = Result.ERROR
    counter.visit("homepage")
    assert cache.asked == 1


def test_a_cache_that_missed_visits_is_not_believed_when_it_is_back(
    counter: VisitCounter, cache: FakeCache, database: FakeDatabase
) -> None:
    counter.visit("homepage")
    cache.result = Result.ERROR
    counter.visit("homepage")
    cache.result = Result.HIT
    assert cache.copies == {"homepage": 42}
    assert counter.read("homepage").visits == 43
    assert cache.copies == {"homepage": 43}
    assert counter.read("homepage").source == "cache"


def test_a_visit_without_the_database_is_refused_with_the_last_count(
    counter: VisitCounter, cache: FakeCache, database: FakeDatabase
) -> None:
    counter.visit("homepage")
    database.down = True
    with pytest.raises(DatabaseUnavailable) as refusal:
        counter.visit("homepage")
    assert refusal.value.last_known == 42
    assert cache.copies == {"homepage": 42}


def test_a_read_without_the_database_is_stale_from_the_cache(counter: VisitCounter, database: FakeDatabase) -> None:
    counter.visit("homepage")
    database.down = database.possibly_down = True
    assert counter.read("homepage") == VisitCount("homepage", 42, "cache", Result.HIT, stale=True)
    with pytest.raises(DatabaseUnavailable):
        counter.read("elsewhere")


def test_reads_are_fresh_again_as_soon_as_the_database_is_back(counter: VisitCounter, database: FakeDatabase) -> None:
    counter.visit("homepage")
    database.possibly_down = True
    answer = counter.read("homepage")
    assert (answer.visits, answer.source, answer.stale) == (42, "database", False)
    assert counter.read("homepage").source == "cache"


@pytest.mark.parametrize("committed", [True, False])
def test_after_a_visit_of_unknown_outcome_a_read_is_from_the_database(
    committed: bool, counter: VisitCounter, database: FakeDatabase
) -> None:
    counter.visit("homepage")
    database.breaks_on_commit = committed
    with pytest.raises(OutcomeUnknown):
        counter.visit("homepage")
    assert counter.read("homepage").visits == database.counts["homepage"] == 42 + committed
    assert counter.read("homepage").source == "cache"


@pytest.mark.parametrize("truth", [0, 41, 998, 999])
def test_a_visit_brings_a_cache_back_that_is_ahead_of_the_database(
    truth: int, counter: VisitCounter, cache: FakeCache, database: FakeDatabase
) -> None:
    cache.copies["homepage"] = 1000
    database.counts["homepage"] = truth
    assert counter.visit("homepage").visits == truth + 1
    assert cache.copies == {"homepage": truth + 1}


def test_concurrent_reads_share_look_ups_and_cause_one_query(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    asking = threading.Semaphore(0)

    def wait_to_be_let_through() -> None:
        assert asking.acquire(timeout=20)

    cache.before = wait_to_be_let_through
    with ThreadPoolExecutor(64) as pool:
        readers = [pool.submit(counter.read, "homepage") for _ in range(64)]
        asking.release(8)
        answers = [reader.result(20) for reader in readers]
    assert {answer.visits for answer in answers} == {41}
    assert database.reads == 1
    assert cache.asked <= 8


@pytest.mark.parametrize("result", [Result.ERROR, Result.BYPASS])
def test_without_a_cache_an_unvisited_page_costs_one_query_a_second(
    result: Result, database: FakeDatabase, cache: FakeCache
) -> None:
    now = 0.0
    counter = VisitCounter(database, cache, clock=lambda: now)
    cache.result = result
    for now in (0.0, 0.5, 0.9, 1.1, 1.5):  # noqa: B007 - the clock reads it
        assert counter.read("new").visits == 0
    assert database.reads == 2
    counter.visit("new")
    assert counter.read("new").visits == 1, "a visit of this process is seen at once"


@pytest.mark.parametrize("committed", [True, False])
def test_after_an_unknown_outcome_a_read_without_the_database_is_stale(
    committed: bool, counter: VisitCounter, database: FakeDatabase
) -> None:
    counter.visit("homepage")
    database.breaks_on_commit = committed
    with pytest.raises(OutcomeUnknown) as refusal:
        counter.visit("homepage")
    assert refusal.value.last_known == 42
    database.down = database.possibly_down = True
    assert counter.read("homepage") == VisitCount("homepage", 42, "cache", Result.HIT, stale=True)
    with pytest.raises(DatabaseUnavailable) as second_refusal:
        counter.visit("homepage")
    assert second_refusal.value.last_known == 42


def test_the_cache_learns_of_a_visit_only_after_its_commit(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    counter.visit("homepage")
    seen: list[tuple[int, int]] = []
    cache.before = lambda: seen.append((cache.copies["homepage"], database.counts["homepage"]))
    counter.visit("homepage")
    assert seen == [(42, 42), (42, 43)], "look-up, then the commit, then the cache"


def test_a_refused_visit_on_a_cold_cache_changes_neither_store(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    database.down = True
    with pytest.raises(DatabaseUnavailable) as refusal:
        counter.visit("homepage")
    assert refusal.value.last_known is None
    assert (database.counts, cache.copies) == ({"homepage": 41}, {})


def test_a_read_corrects_a_cache_that_is_ahead_when_it_asks_the_database(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    cache.copies["homepage"] = 1000
    database.possibly_down = True
    assert counter.read("homepage").visits == 41
    assert cache.copies == {"homepage": 41}


def test_concurrent_visits_get_unique_numbers_and_the_cache_the_last(
    counter: VisitCounter, database: FakeDatabase, cache: FakeCache
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(counter.visit, ["homepage"] * 400))
    assert sorted(answer.visits for answer in answers) == list(range(42, 442))
    assert cache.copies == database.counts == {"homepage": 441}


def test_pages_are_counted_apart(counter: VisitCounter, database: FakeDatabase, cache: FakeCache) -> None:
    counter.visit("a")
    counter.visit("b")
    counter.visit("b")
    assert database.counts == {"homepage": 41, "a": 1, "b": 2}
    assert cache.copies == {"a": 1, "b": 2}
