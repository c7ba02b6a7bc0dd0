"""Read what `docker service logs --timestamps` prints: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from stack.engines.base import LogLine
from stack.engines.docker import answers

# `2026-11-27T08:30:07.215295130Z stackctl-shop-1a2b3c_web.1.4reli8ny8sp8@host2    | text`
_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<service>[^\s.]+)\.(?P<slot>\d+)\.[a-z0-9]+@\S+ *\| ?(?P<text>.*)",
    re.DOTALL,
)


def parsed(printed: str, project: str, replicas: Callable[[str], int]) -> LogLine | None:
    """Return what a printed line says; None for one of the client itself. `replicas`: how many of a component."""
    found = _LINE.fullmatch(printed)
    if found is None:
        return None
    component = found["service"].removeprefix(f"{project}_")
    number = int(found["slot"])
    replica = number if replicas(component) > 1 or number > 1 else None
    return LogLine(component, found["text"].removesuffix("\r"), replica, answers.time(found["time"]))


def in_order(lines: Iterable[LogLine]) -> list[LogLine]:
    return sorted(lines, key=lambda line: line.time or datetime.min.replace(tzinfo=UTC))
