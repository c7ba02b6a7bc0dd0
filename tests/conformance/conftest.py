"""Every test here runs on every engine that can run on this machine."""

from __future__ import annotations

import pytest

from tests.servers import MISSING


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("compose", marks=pytest.mark.docker),
        pytest.param("embedded", marks=pytest.mark.skipif(MISSING is not None, reason=str(MISSING))),
    ],
)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test's instances are on."""
    return str(request.param)
