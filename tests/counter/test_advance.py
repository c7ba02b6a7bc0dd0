"""The rules by which a copy moves, in a real Redis: advance.lua on its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.cache
from service.breaker import Breaker
from service.cache import MOST, RedisCache
from service.store import Cache, CacheUpdate, Lookup, Result
from tests.counter.stores import config, copy, key
from tests.servers import PostgresServer, RedisServer
from tests.unit.service_fakes import FakeCache


def advance(cache: Cache, count: int, wrong: int | None = None) -> bool:
    return cache.update_and_get([CacheUpdate(PAGE, count, wrong)], ())[0]


COUNTS = st.integers(0, 20) | st.integers(MOST - 3, MOST)
PAGE = "homepage"


@pytest.fixture(scope="module")
def cache(postgres_of_module: PostgresServer, redis_of_module: RedisServer) -> Iterator[RedisCache]:
    """The cache of the service, that waits long enough for any answer on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.cache, "TIMEOUT", 10)
        cache = RedisCache(config(postgres_of_module, redis_of_module), Breaker(lambda: 0.0))
    yield cache
    cache.close()


@settings(deadline=None, max_examples=150)
@given(
    start=st.none() | COUNTS | st.sampled_from(["text", "-5", "007", "1.5", str(MOST + 1), "9" * 16, "9" * 40]),
    moves=st.lists(st.tuples(COUNTS, st.none() | COUNTS), min_size=1, max_size=12),
)
def test_after_every_move_the_copy_is_what_the_unit_tests_take_it_for(
    start: int | str | None, moves: list[tuple[int, int | None]], cache: RedisCache, redis_of_module: RedisServer
) -> None:
    fake = FakeCache()
    redis_of_module.client.delete(key())
    if start is not None:
        redis_of_module.client.set(key(), start)
    if isinstance(start, int):
        fake.copies[PAGE] = start
    assert cache.get(PAGE) == fake.get(PAGE)
    for count, wrong in moves:
        assert advance(cache, count, wrong)
        advance(fake, count, wrong)
        assert cache.get(PAGE) == fake.get(PAGE)


@settings(deadline=None, max_examples=50)
@given(counts=st.lists(COUNTS, min_size=1, max_size=20))
def test_the_copy_is_the_highest_count_unless_it_is_proved_wrong(
    counts: list[int], cache: RedisCache, redis_of_module: RedisServer
) -> None:
    redis_of_module.client.delete(key())
    for number, count in enumerate(counts, 1):
        advance(cache, count)
        assert copy(redis_of_module) == str(max(counts[:number]))


def test_the_highest_of_concurrent_updates_in_any_order_stays(cache: RedisCache, redis: RedisServer) -> None:
    counts = random.sample(range(1, 501), 500)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda count: advance(cache, count), counts))
    assert cache.get(PAGE) == Lookup(Result.HIT, 500)


def test_a_wrong_copy_is_replaced_unless_it_already_was(cache: RedisCache, redis: RedisServer) -> None:
    redis.client.set(key(), 1000)
    advance(cache, 2, wrong=1000)
    assert copy(redis) == "2"
    advance(cache, 1, wrong=1000)
    assert copy(redis) == "2", "the visit before came later, and its count is no longer proved wrong"


@pytest.mark.parametrize(("count", "refreshed"), [(9, False), (10, True), (11, True)])
def test_the_time_to_live_restarts_if_the_copy_is_confirmed_or_raised(
    count: int, refreshed: bool, cache: RedisCache, redis: RedisServer
) -> None:
    redis.client.set(key(), 10, ex=100)
    advance(cache, count)
    life = redis.client.ttl(key())
    assert isinstance(life, int)
    assert (life > 200) == refreshed, life


def test_a_copy_without_an_end_gets_one_when_it_is_confirmed(cache: RedisCache, redis: RedisServer) -> None:
    redis.client.set(key(), 10)
    advance(cache, 10)
    life = redis.client.ttl(key())
    assert isinstance(life, int)
    assert 200 < life <= 330
