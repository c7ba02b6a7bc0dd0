"""Under load, whatever befalls the app and PostgreSQL: nothing acknowledged is lost, and nothing is counted twice.

Reads are exact where one process counts. Where several do, one that is busy may for a moment not reach Redis, and
another reads there what the first could not yet store.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import servers
from tests.counter.stores import copy
from tests.counter.trial import trial
from tests.load import request
from tests.proxy import FAULTS, Fault, proxy
from tests.servers import PostgresServer, RedisServer, ServiceServer, eventually


def test_a_worker_that_is_killed(service: ServiceServer, postgres: PostgresServer, redis: RedisServer) -> None:
    with trial([service], postgres, redis, exact_reads=False) as going:
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
    with trial([service], postgres, redis, exact_reads=False):
        workers = service.children()
        service.kill()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        service.start()


def test_postgresql_is_killed_and_started_again(
    lone_service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([lone_service], postgres, redis) as going:
        for _ in range(2):
            postgres.kill()
            postgres.start()
            going.go_on()


def test_postgresql_freezes_and_wakes_up(
    lone_service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([lone_service], postgres, redis) as going:
        requests = len(going.load.log)
        postgres.pause()
        eventually(lambda: len(going.load.log) > requests + 12, "requests end while PostgreSQL is frozen")
        postgres.resume()


def test_a_database_that_was_emptied_is_followed_at_once(
    lone_service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with trial([lone_service], postgres, redis):
        pass
    postgres.query("DELETE FROM visit_counter")
    assert request(lone_service.port, "visit", "homepage").number == 1
    for _ in range(4):
        assert request(lone_service.port, "read", "homepage").number == 1
    assert copy(redis) == "1"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_way_to_postgresql_breaks(
    fault: Fault, environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    with (
        proxy(postgres.host, postgres.port) as between,
        servers.start_service(service_folder, environment | {"DB_PORT": str(between.port)}, workers=1) as service,
        trial([service], postgres, redis) as going,
    ):
        requests = len(going.load.log)
        between.set(fault)
        if fault == "late":
            going.go_on(30)
        else:
            eventually(lambda: len(going.load.log) > requests + 12, "requests end while PostgreSQL can't be reached")
        between.set("none")


def test_two_replicas_that_reach_both_servers_are_exact_together(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    with (
        replicas(environment, service_folder) as both,
        trial(both, postgres, redis) as going,
    ):
        going.go_on(100)


@pytest.mark.long
def test_two_replicas_and_each_is_started_again_in_turn(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    with (
        replicas(environment, service_folder) as both,
        trial(both, postgres, redis, exact_reads=False) as going,
    ):
        for replica in both:
            replica.stop()
            going.go_on(30)
            replica.start()
            going.go_on(30)


@contextmanager
def replicas(environment: dict[str, str], folder: Path) -> Iterator[list[ServiceServer]]:
    """Two services, with nothing in common but PostgreSQL and Redis."""
    folders = [folder / "one", folder / "two"]
    for each in folders:
        each.mkdir()
    with (
        servers.start_service(folders[0], environment, workers=1) as one,
        servers.start_service(folders[1], environment, workers=1) as two,
    ):
        yield [one, two]
