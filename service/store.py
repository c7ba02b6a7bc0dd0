"""What the counter's rules are written in: the two stores as it sees them, and what is told of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class DatabaseUnavailable(Exception):
    """PostgreSQL could not be asked, or refused. Nothing was counted. `last_known` is the count in Redis, if any."""

    last_known: int | None = None


class OutcomeUnknown(Exception):
    """The connection broke while a visit was being committed: it may or may not have been counted."""

    last_known: int | None = None


class Result(Enum):
    """How a look-up in the cache went: BYPASS when a broken cache was not even asked."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"
    BYPASS = "bypass"


@dataclass(frozen=True)
class Lookup:
    """What the cache said: `count` with a HIT, else None. `behind` is a copy that is known to lack visits."""

    result: Result
    count: int | None = None
    behind: int | None = None

    @property
    def answered(self) -> bool:
        """Whether the cache works."""
        return self.result in (Result.HIT, Result.MISS)

    @property
    def last_known(self) -> int | None:
        """What can be told if the database cannot be asked."""
        return self.behind if self.count is None else self.count


@dataclass(frozen=True)
class Answer:
    """A count, where the look-up was answered (`cache` or `database`), and how.

    `stored`: the count was written to the cache for it. `stale`: the database is down, the count may be behind.
    """

    page: str
    visits: int
    source: str
    result: Result
    stored: bool = False
    stale: bool = False


@dataclass(frozen=True)
class Move:
    """A committed count for the cache. `wrong`: a count that was read from it and proved to be ahead of the truth."""

    page: str
    count: int
    wrong: int | None = None


class Database(Protocol):
    """The truth. Every call ends within a bounded time."""

    @property
    def suspect(self) -> bool:
        """Whether the database may be down, as far as is known without asking it."""

    def read(self, page: str) -> int | None:
        """The committed count; None for a page that nobody visited. Raises DatabaseUnavailable."""

    def add(self, visits: Mapping[str, int]) -> Mapping[str, int]:
        """Commit so many more of each page, all or none, and return their new counts.

        Raises DatabaseUnavailable (nothing was counted) or OutcomeUnknown.
        """


class Cache(Protocol):
    """The copy. It never raises: a failing cache is a miss, and what it was not told is not stored."""

    def get(self, page: str) -> Lookup: ...

    def exchange(self, moves: Collection[Move], pages: Sequence[str]) -> tuple[bool, Mapping[str, Lookup]]:
        """Store committed counts, then look pages up, in one round trip.

        A higher copy stays, but for one from `wrong` on. True if the cache now has each count or a higher one.
        """
