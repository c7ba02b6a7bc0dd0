"""Read what `docker compose logs --timestamps` prints: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from stack.engines.base import LogLine
from stack.engines.docker import answers

_LINE = re.compile(
    r"(?P<name>[a-z0-9-]+)-(?P<number>\d+) +\| (?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) ?(?P<text>.*)", re.DOTALL
)


def parsed(printed: str, replicas: Callable[[str], int]) -> LogLine | None:
    """Return what a printed line says; None for one of Compose itself, such as that a container ended.

    `replicas`: how many of a component there are.
    """
    found = _LINE.fullmatch(printed)
    if found is None:
        return None
    name = found["name"]
    number = int(found["number"])
    replica = number if replicas(name) > 1 or number > 1 else None
    return LogLine(name, found["text"].removesuffix("\r"), replica, answers.time(found["time"]))


def in_order(lines: Iterable[LogLine]) -> list[LogLine]:
    """Sort lines by their times: Compose prints those of several containers as they come."""
    return sorted(lines, key=lambda line: line.time or datetime.min.replace(tzinfo=UTC))
