"""Every request that the OpenAPI file allows gets a response that it describes, whichever server is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests import servers
from tests.counter.stores import environment_of
from tests.ports import own_port
from tests.servers import PROJECT, PostgresServer, RedisServer, ServiceServer

SCHEMA = schemathesis.openapi.from_path(str(PROJECT / "service" / "openapi.yaml"))
_EXAMPLES = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def _running(environment: dict[str, str]) -> Iterator[ServiceServer]:
    with servers.server_folder() as folder, servers.start_service(folder, environment, workers=1) as service:
        yield service


@pytest.fixture(scope="module")
def whole(postgres_of_module: PostgresServer, redis_of_module: RedisServer) -> Iterator[ServiceServer]:
    with _running(environment_of(postgres_of_module, redis_of_module)) as service:
        yield service


@pytest.fixture(scope="module")
def without_redis(postgres_of_module: PostgresServer, redis_of_module: RedisServer) -> Iterator[ServiceServer]:
    nobody = {"CACHE_PORT": str(own_port())}
    with _running(environment_of(postgres_of_module, redis_of_module) | nobody) as service:
        yield service


@pytest.fixture(scope="module")
def without_postgresql(postgres_of_module: PostgresServer, redis_of_module: RedisServer) -> Iterator[ServiceServer]:
    nobody = {"DB_PORT": str(own_port())}
    with _running(environment_of(postgres_of_module, redis_of_module) | nobody) as service:
        yield service


@SCHEMA.parametrize()
@_EXAMPLES
def test_the_service_answers_as_its_file_says(case: Case[Any], whole: ServiceServer) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{whole.port}")


@SCHEMA.parametrize()
@_EXAMPLES
def test_and_without_redis(case: Case[Any], without_redis: ServiceServer) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{without_redis.port}")


@SCHEMA.parametrize()
@_EXAMPLES
def test_and_without_postgresql(case: Case[Any], without_postgresql: ServiceServer) -> None:
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{without_postgresql.port}",
        excluded_checks=[not_a_server_error, positive_data_acceptance],  # it says 503, as the file allows
    )
