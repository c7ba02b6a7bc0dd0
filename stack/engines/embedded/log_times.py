"""Find when the lines of a log were written, as far as they say so: supervisord does not note it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from stack.engines.embedded import logs

_CLOCK = r"(?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,6})\d*)?"
_ZONE = r" ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
# As PostgreSQL, Python's logging and most others write it; as Valkey does; and as logs of requests have it.
_TIMES = tuple(
    re.compile(f"{date}{_CLOCK}{_ZONE}")
    for date in (
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ]",
        r"\b(?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) ",
        r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):",
    )
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# It stands near the beginning; further on it may be that of anything.
_FRONT = 120


def recent(path: Path, since: datetime | None, tail: int | None) -> Sequence[tuple[str, datetime | None]]:
    """Return the last `tail` lines (None: all) of a log, with their times.

    With `since` those before a line that says an earlier time are left out, and all if nothing was written since.
    """
    if since is None:
        return [(line, time_in(line)) for line in logs.last_lines(path, tail)]
    if not path.exists() or path.stat().st_mtime < since.timestamp():
        return []
    lines = [(line, time_in(line)) for line in logs.last_lines(path, None)]
    older = [number for number, (_, time) in enumerate(lines, 1) if time is not None and time < since]
    left = lines[older[-1] :] if older else lines
    return left if tail is None else left[max(0, len(left) - tail) :]


def time_in(line: str) -> datetime | None:
    """Return the time that a line says, in the zone of this machine if it names none; None if it says no time."""
    for pattern in _TIMES:
        if found := pattern.search(line, 0, _FRONT):
            return _time(found)
    return None


def _time(found: re.Match[str]) -> datetime | None:
    month = found["month"]
    number = int(month) if month.isdigit() else _MONTHS.index(month) + 1 if month in _MONTHS else 0
    zone = {None: "", "Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00"}.get(found["zone"], found["zone"])
    fraction = (found["fraction"] or "").ljust(6, "0")
    text = f"{found['year']}-{number:02}-{found['day']}T{found['clock']}.{fraction}{zone}"
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return None
