"""Under load, whatever breaks: nothing acknowledged is lost, nothing is counted twice, and no answer is impossible."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis as redis_library

from tests import servers
from tests.counter.stores import copy, key, truth
from tests.history import violations
from tests.load import Load, request
from tests.proxy import Fault, Proxy, proxy
from tests.servers import PostgresServer, RedisServer, ServiceServer, eventually

PAGES = ("homepage", "about", "contact")
FAULTS: list[Fault] = ["refuse", "silent", "reset", "slow", "late"]


class Trial:
    """A load, and what it shall have left behind."""

    def __init__(self, load: Load, postgres: PostgresServer, redis: RedisServer) -> None:
        self.load = load
        self.postgres = postgres
        self.redis = redis

    def go_on(self, more: int = 60) -> None:
        """Until so many more visits were acknowledged."""
        goal = self.load.acknowledged() + more
        eventually(lambda: self.load.acknowledged() >= goal, f"{more} more visits are acknowledged")

    def ahead(self) -> list[str]:
        """The pages of which Redis tells more than PostgreSQL has; first the copy, for the truth only grows."""
        copies = {page: copy(self.redis, page) for page in PAGES}
        return [
            page
            for page, value in copies.items()
            if value and value.isdigit() and int(value) > truth(self.postgres, page)
        ]

    def judge(self) -> None:
        final = {page: truth(self.postgres, page) for page in PAGES}
        found = violations(self.load.log, final)
        assert not found, f"{len(found)} impossible of {len(self.load.log)}, the first: " + "; ".join(found[:5])
        assert self.ahead() == [], "Redis is ahead of PostgreSQL"


@contextmanager
def trial(services: list[ServiceServer], postgres: PostgresServer, redis: RedisServer) -> Iterator[Trial]:
    """Load before, while and after what is done in the block, and then the judgement."""
    load = Load(lambda: [service.port for service in services], PAGES)
    made = Trial(load, postgres, redis)
    load.start()
    try:
        made.go_on()
        yield made
        made.go_on()
    finally:
        load.stop()
    made.judge()


def test_a_worker_that_is_killed(service: ServiceServer, postgres: PostgresServer, redis: RedisServer) -> None:
    with trial([service], postgres, redis) as going:
        for _ in range(3):
            workers = service.children()
            os.kill(workers[0], signal.SIGKILL)
            _await_another(service, set(workers))
            going.go_on(20)


def _await_another(service: ServiceServer, workers: set[int]) -> None:
    eventually(lambda: set(service.children()) - workers, "another worker is there")


def test_the_whole_app_is_killed_and_started_again(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([service], postgres, redis):
        workers = service.children()
        service.kill()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        service.start()


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_is_killed_and_started_again(
    name: str, service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    server = {"postgres": postgres, "redis": redis}[name]
    with trial([service], postgres, redis) as going:
        for _ in range(2):
            server.kill()
            server.start()
            going.go_on()


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_freezes_and_wakes_up(
    name: str, service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    server = {"postgres": postgres, "redis": redis}[name]
    with trial([service], postgres, redis) as going:
        requests = len(going.load.log)
        server.pause()
        eventually(lambda: len(going.load.log) > requests + 24, "requests end while the server is frozen")
        server.resume()


def test_redis_is_flushed_and_poisoned(service: ServiceServer, postgres: PostgresServer, redis: RedisServer) -> None:
    poisons: list[Callable[[str], object]] = [
        lambda name: redis.client.flushall(),
        lambda name: redis.client.set(name, "text"),
        lambda name: redis.client.delete(name) and redis.client.rpush(name, "1", "2"),
        lambda name: redis.client.set(name, 2**70),
        lambda name: redis.client.set(name, -5),
    ]
    with trial([service], postgres, redis) as going:
        for poison in poisons:
            for page in PAGES:
                with suppress(redis_library.ResponseError):  # the service was faster
                    poison(key(page))
            going.go_on(20)


def test_a_database_that_was_emptied_is_followed_at_once(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([service], postgres, redis):
        pass
    postgres.query("DELETE FROM visit_counter")
    assert request(service.port, "visit", "homepage").number == 1
    for _ in range(4):
        assert request(service.port, "read", "homepage").number == 1
    assert copy(redis) == "1"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_the_way_to_a_server_breaks(
    name: str,
    fault: Fault,
    environment: dict[str, str],
    service_folder: Path,
    postgres: PostgresServer,
    redis: RedisServer,
) -> None:
    server: PostgresServer | RedisServer = postgres if name == "postgres" else redis
    port = {"postgres": "DB_PORT", "redis": "CACHE_PORT"}[name]
    with proxy(server.host, server.port) as between:
        own = environment | {port: str(between.port)}
        with servers.start_service(service_folder, own) as service, trial([service], postgres, redis) as going:
            _break(between, fault, going, needed=name == "postgres" and fault != "late")


def _break(between: Proxy, fault: Fault, going: Trial, needed: bool) -> None:
    """Without PostgreSQL visits are refused; without Redis they go on."""
    between.set(fault)
    requests = len(going.load.log)
    if needed:
        eventually(lambda: len(going.load.log) > requests + 24, "requests end while PostgreSQL can't be reached")
    else:
        going.go_on(30)
    between.set("none")


def test_two_replicas_and_each_is_started_again_in_turn(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    folders = [service_folder / "one", service_folder / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        servers.start_service(folders[0], environment, workers=1) as one,
        servers.start_service(folders[1], environment, workers=1) as two,
        trial([one, two], postgres, redis) as going,
    ):
        for replica in (one, two):
            replica.stop()
            going.go_on(30)
            replica.start()
            going.go_on(30)
