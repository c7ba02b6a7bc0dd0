"""Whatever can be asked by the OpenAPI file, the running service answers as the file says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case

from tests import servers
from tests.counter.stores import environment_of
from tests.servers import PROJECT, PostgresServer, RedisServer, ServiceServer

SCHEMA = schemathesis.openapi.from_path(str(PROJECT / "service" / "openapi.yaml"))


@pytest.fixture(scope="module")
def running(postgres_of_module: PostgresServer, redis_of_module: RedisServer) -> Iterator[ServiceServer]:
    environment = environment_of(postgres_of_module, redis_of_module)
    with servers.server_folder() as folder, servers.start_service(folder, environment, workers=1) as service:
        yield service


@SCHEMA.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_service_answers_as_its_file_says(case: Case[Any], running: ServiceServer) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{running.port}")
