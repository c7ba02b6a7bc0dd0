"""Every test here runs on every engine that can run on this machine, unless it says that one is enough."""

from __future__ import annotations

import pytest

from tests.conformance.engines import COMPOSE, EMBEDDED


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test's instances are on."""
    return str(request.param)
