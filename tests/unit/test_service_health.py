"""What the health check says, and how often it asks."""

from __future__ import annotations

from typing import Any

import pytest

from service.breaker import Breaker
from service.health import LIFETIME, Health
from service.store import Result
from tests.unit.service_fakes import FakeCache, FakeDatabase


class Service:
    """A health check on fakes, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.database = FakeDatabase(homepage=41)
        self.cache = FakeCache(homepage=41)
        self.breakers = {name: Breaker(lambda: self.now, failures=1) for name in ("database", "cache")}
        self._health = Health(self.database, self.cache, self.breakers, lambda: self.now)

    def report(self) -> dict[str, Any]:
        return self._health.report().as_dict()


@pytest.fixture
def service() -> Service:
    return Service()


def test_with_both_servers_it_passes(service: Service) -> None:
    good = {"status": "pass", "breaker": "closed"}
    assert service.report() == {"status": "pass", "checks": {"database": good, "cache": good}}


@pytest.mark.parametrize("result", [Result.ERROR, Result.BYPASS])
def test_without_redis_it_warns_and_says_what_that_means(result: Result, service: Service) -> None:
    service.cache.result = result
    report = service.report()
    assert (report["status"], report["checks"]["database"]["status"]) == ("warn", "pass")
    failed = {"status": "fail", "output": "Redis cannot be reached: counts come from PostgreSQL", "breaker": "closed"}
    assert report["checks"]["cache"] == failed


@pytest.mark.parametrize("redis", [Result.HIT, Result.ERROR])
def test_without_postgresql_it_fails_whatever_redis_does(redis: Result, service: Service) -> None:
    service.database.down = True
    service.cache.result = redis
    report = service.report()
    assert report["status"] == report["checks"]["database"]["status"] == "fail"
    assert "visits are refused" in report["checks"]["database"]["output"]


def test_a_cache_without_a_copy_passes(service: Service) -> None:
    service.cache.copies.clear()
    assert service.report()["status"] == "pass"


def test_an_open_breaker_is_reported(service: Service) -> None:
    service.breakers["cache"].failed("gone")
    checks = service.report()["checks"]
    assert (checks["cache"]["breaker"], checks["database"]["breaker"]) == ("open", "closed")


def test_many_probes_cost_one_query_and_a_change_is_seen_when_that_is_old(service: Service) -> None:
    first = service.report()
    service.database.down = True
    service.now += LIFETIME - 0.1
    assert service.report() == first
    assert service.database.reads == service.cache.asked == 1
    service.now += 0.1
    assert service.report()["status"] == "fail"


def test_checking_counts_no_visit_and_moves_no_copy(service: Service) -> None:
    service.cache.copies["homepage"] = 7
    service.report()
    assert (service.database.counts, service.cache.copies) == ({"homepage": 41}, {"homepage": 7})
