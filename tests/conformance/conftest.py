"""Every test here runs on every engine that can run on this machine, unless it says that one is enough."""

from __future__ import annotations

import os

import pytest

from tests.conformance.engines import COMPOSE, EMBEDDED, SWARM, runs_on_a_swarm


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED, SWARM])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test's instances are on."""
    if request.param == "swarm":
        request.getfixturevalue("swarm")
    return str(request.param)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not run on a Swarm too; with STACKCTL_ON_A_SWARM=all those that can't."""
    everything = os.environ.get("STACKCTL_ON_A_SWARM") == "all"
    left = [item for item in items if "[swarm" in item.nodeid and not runs_on_a_swarm(item.nodeid, everything)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
