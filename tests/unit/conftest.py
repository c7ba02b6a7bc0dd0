"""The counter on a database and a cache in memory."""

from __future__ import annotations

import pytest

from service.counter import VisitCounter
from tests.unit.service_fakes import FakeCache, FakeDatabase


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(homepage=41)


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture
def counter(database: FakeDatabase, cache: FakeCache) -> VisitCounter:
    return VisitCounter(database, cache)
