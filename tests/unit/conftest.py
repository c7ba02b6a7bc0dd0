"""The counter on a database and a cache in memory, and no daemon of this machine."""

from __future__ import annotations

import pytest

from service.counter import VisitCounter
from stack.engines.docker import api
from tests.unit.service_fakes import FakeCache, FakeDatabase


@pytest.fixture(autouse=True)
def _through_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Docker through its client, which the tests replace: there may be no daemon on this machine."""
    monkeypatch.setattr(api, "local", lambda: None)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(homepage=41)


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture
def counter(database: FakeDatabase, cache: FakeCache) -> VisitCounter:
    return VisitCounter(database, cache)
