"""Read what a schedule notes of its runs; see `stack.capabilities.Timetable`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from stack.components.schedule.cron import Cron
from stack.components.schedule.runner import FALLBACK
from stack.frozen import dataclass
from stack.results.instances import Runs

_READ = f'cat "$STACKCTL_SCHEDULE/record" 2> /dev/null || cat {FALLBACK}'
_NOTHING = "-"
_LOST = "lost"


@dataclass(frozen=True)
class ScheduleTimes:
    """The times of a cron line, and the runs at them."""

    cron: Cron

    @property
    def record(self) -> Sequence[str]:
        return ("sh", "-c", _READ)

    def read(self, noted: str, now: datetime) -> Runs:
        fields = noted.split()
        # A schedule that was started just now has noted nothing yet.
        _, began, ended, code, missed, last = fields if len(fields) == 6 else (_NOTHING,) * 6
        lost = code == _LOST
        done = ended != _NOTHING and not lost
        return Runs(
            last_run=_time(began),
            seconds=int(ended) - int(began) if done else None,
            exit_code=int(code) if done else None,
            running=began != _NOTHING and ended == _NOTHING,
            next_run=self.cron.next(now),
            missed=int(missed) if missed != _NOTHING else 0,
            last_missed=_time(last, 60),
        )


def _time(noted: str, unit: int = 1) -> datetime | None:
    return None if noted == _NOTHING else datetime.fromtimestamp(int(noted) * unit, UTC)
