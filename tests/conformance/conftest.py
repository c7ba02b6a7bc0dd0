"""Every test here runs on every engine that can run on this machine, unless it says that one is enough."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.engines import COMPOSE, EMBEDDED, SWARM, runs_on_a_swarm
from tests.schedule import is_on_a_swarm


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED, SWARM])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test's instances are on."""
    if request.param == "swarm":
        request.getfixturevalue("swarm")
    return str(request.param)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not run on a Swarm too; with STACKCTL_ON_A_SWARM=all those that can't."""
    everything = os.environ.get("STACKCTL_ON_A_SWARM") == "all"
    # It is given the tests of all folders.
    asked = [item for item in items if item.path.is_relative_to(Path(__file__).parent) and is_on_a_swarm(item.nodeid)]
    left = [item for item in asked if not runs_on_a_swarm(item.nodeid, everything)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
