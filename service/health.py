"""Check whether the service can do its work and, if not, which of its two servers is to blame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .breaker import Breaker
from .store import HOMEPAGE, Cache, Database, DatabaseUnavailable, Result

LIFETIME = 1.0  # seconds for which a report is reused, so that any number of requests costs one query


@dataclass(frozen=True)
class ServerHealth:
    """The health of one server: `output` says what its failure means to users, and is None if it works."""

    output: str | None
    breaker_open: bool

    def as_dict(self) -> dict[str, str]:
        found = {"status": "fail", "output": self.output} if self.output else {"status": "pass"}
        return found | {"breaker": "open" if self.breaker_open else "closed"}


@dataclass(frozen=True)
class HealthReport:
    """The health of both servers, and the status that follows."""

    database: ServerHealth
    cache: ServerHealth

    @property
    def status(self) -> str:
        """The status in health+json: `fail` if visits are refused, `warn` if only Redis is away, else `pass`."""
        return "fail" if self.database.output else "warn" if self.cache.output else "pass"

    def as_dict(self) -> dict[str, object]:
        return {"status": self.status, "checks": {"database": self.database.as_dict(), "cache": self.cache.as_dict()}}


class Health:
    """Queries both servers as requests do. `clock` returns seconds that never go back."""

    def __init__(
        self, database: Database, cache: Cache, breakers: Mapping[str, Breaker], clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._cache = cache
        self._breakers = breakers
        self._clock = clock
        self._lock = threading.Lock()
        self._checked: tuple[float, HealthReport] | None = None

    def report(self) -> HealthReport:
        """Return a report at most `LIFETIME` old. Ends within the timeouts of the two servers."""
        with self._lock:
            if self._checked and self._clock() - self._checked[0] < LIFETIME:
                return self._checked[1]
            report = HealthReport(self._check_database(), self._check_cache())
            self._checked = self._clock(), report
            return report

    def _check_database(self) -> ServerHealth:
        try:
            self._database.read(HOMEPAGE)
            output = None
        except DatabaseUnavailable:
            output = "PostgreSQL cannot be reached: visits are refused, counts come from Redis if it has them"
        return ServerHealth(output, self._breakers["database"].is_open)

    def _check_cache(self) -> ServerHealth:
        failed = self._cache.get(HOMEPAGE).result in (Result.ERROR, Result.BYPASS)
        output = "Redis cannot be reached: counts come from PostgreSQL" if failed else None
        return ServerHealth(output, self._breakers["cache"].is_open)
