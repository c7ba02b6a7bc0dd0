"""Every test here runs on every engine that can run on this machine, unless it says that one is enough."""

from __future__ import annotations

import pytest

from tests.conformance.engines import COMPOSE, EMBEDDED, ON_A_SWARM, SWARM


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED, SWARM])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test's instances are on."""
    if request.param == "swarm":
        request.getfixturevalue("swarm")
    return str(request.param)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not run on a Swarm too."""
    left = [item for item in items if "[swarm" in item.nodeid and not any(each in item.nodeid for each in ON_A_SWARM)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
