"""A PostgreSQL and a Redis for each module, whole and empty before each test, and a new service for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.servers import PostgresServer, RedisServer, ServiceServer


@pytest.fixture(scope="module")
def postgres_of_module() -> Iterator[PostgresServer]:
    with servers.server_folder() as folder, servers.start_postgres(folder) as server:
        yield server


@pytest.fixture(scope="module")
def redis_of_module() -> Iterator[RedisServer]:
    with servers.server_folder() as folder, servers.start_redis(folder) as server:
        yield server


@pytest.fixture
def postgres(postgres_of_module: PostgresServer) -> PostgresServer:
    """Running, without a table. A test may leave it broken."""
    postgres_of_module.mend()
    postgres_of_module.query("DROP TABLE IF EXISTS visit_counter")
    return postgres_of_module


@pytest.fixture
def redis(redis_of_module: RedisServer) -> RedisServer:
    """Running and empty. A test may leave it broken."""
    redis_of_module.mend()
    redis_of_module.client.flushall()
    return redis_of_module


@pytest.fixture
def environment(postgres: PostgresServer, redis: RedisServer) -> dict[str, str]:
    """What the service needs to find both."""
    from tests.counter.stores import environment_of  # skips where there are no servers

    return environment_of(postgres, redis)


@pytest.fixture
def service(environment: dict[str, str], service_folder: Path) -> Iterator[ServiceServer]:
    """The service with two workers, which nothing tells of each other but PostgreSQL and Redis."""
    with servers.start_service(service_folder, environment, workers=2) as server:
        yield server


@pytest.fixture
def lone_service(environment: dict[str, str], service_folder: Path) -> Iterator[ServiceServer]:
    """The service with one worker, which sees every request."""
    with servers.start_service(service_folder, environment, workers=1) as server:
        yield server


@pytest.fixture
def service_folder() -> Iterator[Path]:
    """An empty folder for a service."""
    with servers.server_folder() as folder:
        yield folder
