"""The times of a cron line: five fields, as Debian's cron reads them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from stack.frozen import dataclass

_EXAMPLE = "it has the five fields minute, hour, day of month, month and day of week, like '30 3 * * 1-5'"
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cron:
    """A cron line. `sets`: the numbers of each field, in order; of both days `either` may match, or both have to."""

    line: str
    sets: tuple[tuple[int, ...], ...]
    either: bool

    def next(self, now: datetime) -> datetime | None:
        """Return the next time after a moment, in UTC; None if there is none in the next 50 years."""
        return next(CronSim(self.line, now.astimezone(UTC)), None)


@functools.cache
def parse(line: str) -> Cron:
    """Raises `ValueError`, with what is wrong with the line."""
    fields = line.split()
    if len(fields) != 5:
        raise ValueError(f"has {len(fields)} field{'' if len(fields) == 1 else 's'}; {_EXAMPLE}")
    try:
        found = CronSim(" ".join(fields), _ANY_TIME)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ").replace("-", " ")
        raise ValueError(f"is no cron line: its {field} is wrong; {_EXAMPLE}") from error
    sets = (found.minutes, found.hours, found.days, found.months, found.weekdays)
    if any(not isinstance(number, int) or number < 0 for each in sets for number in each):
        raise ValueError(f"has an L, a W or a #, which not every cron knows; {_EXAMPLE}")
    numbers = [*map(_sorted, sets[:4]), _sorted(number % 7 for number in found.weekdays if isinstance(number, int))]
    return Cron(" ".join(fields), tuple(numbers), not found.day_and)


def _sorted(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({*numbers}))
