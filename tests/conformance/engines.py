"""The engines that can run on this machine."""

from __future__ import annotations

import pytest

from tests.servers import MISSING

COMPOSE = pytest.param("compose", marks=pytest.mark.docker)
EMBEDDED = pytest.param("embedded", marks=pytest.mark.skipif(MISSING is not None, reason=str(MISSING)))

# For what no engine does in a way of its own: on one of them, which takes half as long.
on_one_engine = pytest.mark.parametrize("engine", [EMBEDDED], indirect=True, scope="module")
# For what only an engine for containers has.
on_compose = pytest.mark.parametrize("engine", [COMPOSE], indirect=True, scope="module")
