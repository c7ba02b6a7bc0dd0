"""The service under load while something is done to it, and the judgement of `tests/history.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.cache import MOST
from tests.counter.stores import copy
from tests.history import violations
from tests.load import Load, request
from tests.servers import PostgresServer, RedisServer, ServiceServer, eventually

PAGES = ("homepage", "about", "contact")


class Trial:
    """A load, and what it shall have left behind."""

    def __init__(self, load: Load, postgres: PostgresServer, redis: RedisServer, exact_reads: bool) -> None:
        self.load = load
        self.postgres = postgres
        self.redis = redis
        self._exact_reads = exact_reads

    def go_on(self, more: int = 60) -> None:
        """Until so many more visits were acknowledged; Redis is never ahead meanwhile."""
        goal = self.load.acknowledged() + more

        def reached() -> bool:
            assert self.ahead() == [], "Redis is ahead of PostgreSQL"
            return self.load.acknowledged() >= goal

        eventually(reached, f"{more} more visits are acknowledged")

    def ahead(self) -> list[str]:
        """The pages of which Redis tells more than PostgreSQL has; first the copy, for the truth only grows."""
        copies = {page: copy(self.redis, page) for page in PAGES}
        truths = self.truths()
        return [
            f"{page}: {value} in Redis, then {truths[page]} in PostgreSQL"
            for page, value in copies.items()
            if value and value.isdigit() and truths[page] < int(value) <= MOST
        ]

    def truths(self) -> dict[str, int]:
        counts: dict[str, int] = dict(self.postgres.query("SELECT page, visits FROM visit_counter"))
        return dict.fromkeys(PAGES, 0) | counts

    def assert_answered(self) -> None:
        """Nearly every request was: on a busy machine PostgreSQL itself is late for one now and then."""
        refused = [each for each in self.load.log if each.outcome != "ok"]
        assert len(refused) < len(self.load.log) / 50, f"{len(refused)} of {len(self.load.log)} failed: {refused[:3]}"

    def judge(self) -> None:
        found = violations(self.load.log, self.truths(), exact_reads=self._exact_reads)
        assert not found, f"{len(found)} impossible of {len(self.load.log)}, the first: " + "; ".join(found[:5])
        assert self.ahead() == [], "Redis is ahead of PostgreSQL"
        eventually(self._agree, "reads tell of the last visit")

    def _agree(self) -> bool:
        """Whether every service reads what its last visit got, also after reads that may have lacked some."""
        for port in self.load.ports():
            for page in PAGES:
                number = request(port, "visit", page).number
                if {request(port, "read", page).number for _ in range(4)} != {number}:
                    return False
        return True


@contextmanager
def trial(
    services: list[ServiceServer],
    postgres: PostgresServer,
    redis: RedisServer,
    *,
    readers: int = 4,
    exact_reads: bool = True,
) -> Iterator[Trial]:
    """Load before, while and after what is done in the block, and then the judgement."""
    load = Load(lambda: [service.port for service in services], PAGES, readers=readers)
    made = Trial(load, postgres, redis, exact_reads)
    load.start()
    try:
        made.go_on()
        yield made
        made.go_on()
    finally:
        load.stop()
    made.judge()
