"""Whether the service can do its work, and which of the two servers it needs is to blame if not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .breaker import Breaker
from .counter import HOMEPAGE
from .store import Cache, Database, DatabaseUnavailable, Result

LIFETIME = 1.0  # seconds for which a check holds, so that any number of probes costs one query


@dataclass(frozen=True)
class Check:
    """One server: what its failure means to users, None if it works, and whether its breaker is open."""

    output: str | None
    breaker_open: bool

    def as_dict(self) -> dict[str, str]:
        found = {"status": "fail", "output": self.output} if self.output else {"status": "pass"}
        return found | {"breaker": "open" if self.breaker_open else "closed"}


@dataclass(frozen=True)
class Report:
    """Both servers, and the status that follows from them."""

    database: Check
    cache: Check

    @property
    def status(self) -> str:
        """As health+json has it: `fail` if visits are refused, `warn` if only Redis is away, or `pass`."""
        return "fail" if self.database.output else "warn" if self.cache.output else "pass"

    def as_dict(self) -> dict[str, object]:
        return {"status": self.status, "checks": {"database": self.database.as_dict(), "cache": self.cache.as_dict()}}


class Health:
    """Asks both servers with the queries that requests use. `clock` gives seconds that never go back."""

    def __init__(
        self, database: Database, cache: Cache, breakers: Mapping[str, Breaker], clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._cache = cache
        self._breakers = breakers
        self._clock = clock
        self._lock = threading.Lock()
        self._checked: tuple[float, Report] | None = None

    def report(self) -> Report:
        """What was found at most `LIFETIME` ago. Ends within the time limits of the two servers."""
        with self._lock:
            if self._checked and self._clock() - self._checked[0] < LIFETIME:
                return self._checked[1]
            report = Report(self._check_database(), self._check_cache())
            self._checked = self._clock(), report
            return report

    def _check_database(self) -> Check:
        try:
            self._database.read(HOMEPAGE)
            output = None
        except DatabaseUnavailable:
            output = "PostgreSQL cannot be asked: visits are refused, counts come from Redis if it has them"
        return Check(output, self._breakers["database"].is_open)

    def _check_cache(self) -> Check:
        failed = self._cache.get(HOMEPAGE).result in (Result.ERROR, Result.BYPASS)
        output = "Redis cannot be asked: counts come from PostgreSQL" if failed else None
        return Check(output, self._breakers["cache"].is_open)
