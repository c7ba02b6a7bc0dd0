"""Under load, whatever befalls Redis: requests are answered, nothing is lost, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis as redis_library

from tests import servers
from tests.counter.stores import key
from tests.counter.trial import PAGES, trial
from tests.load import request
from tests.proxy import FAULTS, Fault, proxy
from tests.servers import PostgresServer, RedisServer, ServiceServer, eventually

# A worker can't know what another could not store, see the last test; each alone is exact.
WORKERS = pytest.mark.parametrize("workers", [1, 2])


@WORKERS
def test_redis_is_killed_and_started_again_and_requests_are_answered(
    workers: int, environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    with (
        servers.start_service(service_folder, environment, workers) as service,
        trial([service], postgres, redis, exact_reads=workers == 1) as going,
    ):
        for _ in range(2):
            redis.kill()
            redis.start()
            going.go_on()
    going.assert_answered()


@WORKERS
def test_redis_freezes_and_wakes_up_and_requests_are_answered(
    workers: int, environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    with (
        servers.start_service(service_folder, environment, workers) as service,
        trial([service], postgres, redis, exact_reads=workers == 1) as going,
    ):
        goal = going.load.acknowledged() + 60
        redis.pause()
        eventually(lambda: going.load.acknowledged() >= goal, "visits are acknowledged while Redis is frozen")
        redis.resume()
    going.assert_answered()


def test_redis_is_flushed_and_poisoned(service: ServiceServer, postgres: PostgresServer, redis: RedisServer) -> None:
    poisons: list[Callable[[str], object]] = [
        lambda name: redis.client.flushall(),
        lambda name: redis.client.set(name, "text"),
        lambda name: redis.client.delete(name) and redis.client.rpush(name, "1", "2"),
        lambda name: redis.client.set(name, 2**70),
        lambda name: redis.client.set(name, -5),
    ]
    # A fill that began before may store what was true then; the next visit puts it right.
    with trial([service], postgres, redis, exact_reads=False) as going:
        for poison in poisons:
            for page in PAGES:
                with suppress(redis_library.ResponseError):  # the service was faster
                    poison(key(page))
            going.go_on(20)


def test_a_copy_far_ahead_of_postgresql_is_corrected_by_visits(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([service], postgres, redis, readers=0) as going:
        for page in PAGES:
            redis.client.set(key(page), 1_000_000)
        eventually(lambda: going.ahead() == [], "the visits correct the copies")


@WORKERS
@pytest.mark.parametrize("fault", FAULTS)
def test_the_way_to_redis_breaks_and_requests_are_answered(
    fault: Fault,
    workers: int,
    environment: dict[str, str],
    service_folder: Path,
    postgres: PostgresServer,
    redis: RedisServer,
) -> None:
    with (
        proxy(redis.host, redis.port) as between,
        servers.start_service(service_folder, environment | {"CACHE_PORT": str(between.port)}, workers) as service,
        trial([service], postgres, redis, exact_reads=workers == 1) as going,
    ):
        between.set(fault)
        going.go_on(30)
        between.set("none")
    going.assert_answered()


@pytest.mark.xfail(strict=True, reason="no process knows what another could not store in Redis")
def test_a_read_sees_a_visit_that_another_replica_could_not_store(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    folders = [service_folder / "one", service_folder / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        proxy(redis.host, redis.port) as between,
        servers.start_service(folders[0], environment | {"CACHE_PORT": str(between.port)}, workers=1) as one,
        servers.start_service(folders[1], environment, workers=1) as two,
    ):
        assert request(one.port, "visit", "homepage").number == 1
        between.set("refuse")
        assert request(one.port, "visit", "homepage").number == 2
        assert request(two.port, "read", "homepage").number == 2
