"""`stackctl logs`: what the components wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from stack.controls import visible
from stack.engines.base import LogLine, LogQuery
from stack.frozen import dataclass
from stack.instance import Instance
from stack.report import Report, json_line
from stack.results.access import LogEntry, LogLines
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.style import BLUE, CYAN, DIM, GREEN, MAGENTA, PLAIN, YELLOW, Style
from stack.workflow.finding import find_component, require_up
from stack.workflow.opened import Opened
from stack.workflow.opening import look

# Red is for errors.
_COLOURS = (CYAN, YELLOW, GREEN, MAGENTA, BLUE)
_NO_TIME = "-".ljust(24)


@dataclass(frozen=True)
class LogOptions:
    """Options of `logs`.

    `tail`: the last so many lines of each component. `since`: those from then on. `grep`: those that match it, before
    `tail` counts them. `timestamps`: the time stands before each line, if it is known.
    """

    tail: int | None = None
    since: datetime | None = None
    grep: re.Pattern[str] | None = None
    timestamps: bool = False

    def wants(self, line: LogLine) -> bool:
        return self.grep is None or self.grep.search(line.text) is not None


def logs(settings: Settings, names: Sequence[str], options: LogOptions) -> Report[LogLines]:
    """Give the lines of components, or of all if none is named."""
    opened = _opened(settings, names)
    query = LogQuery(tuple(names), None if options.grep else options.tail, options.since)
    lines = [line for line in opened.engine.read_logs(query) if options.wants(line)]
    if options.grep and options.tail is not None:
        lines = _last(lines, options.tail)
    shape = _Shape(opened.instance, names, options.timestamps)
    data = LogLines(tuple(shape.text(line, PLAIN) for line in lines), tuple(map(_entry, lines)))
    return Report.drawn("logs", lambda style: "\n".join(shape.text(line, style) for line in lines), data, verbatim=True)


def follow(
    settings: Settings,
    names: Sequence[str],
    options: LogOptions,
    style: Style,
    write: Callable[[str | None], None],
    as_json: bool = False,
) -> Report[Nothing]:
    """Hand the lines to `write` as they come; None for one that does not match. `tail` counts those too.

    `as_json`: each is a `LogEntry` as an object.
    """
    opened = _opened(settings, names)
    shape = _Shape(opened.instance, names, options.timestamps)
    query = LogQuery(tuple(names), options.tail, options.since)

    def pass_on(line: LogLine) -> None:
        if not options.wants(line):
            write(None)
        elif as_json:
            write(json_line(_entry(line)))
        else:
            write(shape.text(line, style))

    exit_code = opened.engine.follow_logs(query, pass_on)
    return Report("logs", "", Nothing(), exit_code=exit_code, streamed=True)


def _opened(settings: Settings, names: Sequence[str]) -> Opened:
    opened = look(settings)
    for name in names:
        find_component(opened.instance, name)
    require_up(opened.instance, opened.engine.observe())
    return opened


class _Shape:
    """How lines are shown: the name stands in front unless all are of one component that runs once."""

    def __init__(self, instance: Instance, names: Sequence[str], timestamps: bool) -> None:
        stack = instance.stack
        self._stack, self._timestamps = stack, timestamps
        self._named = len(names) != 1 or stack.replicas(names[0]) > 1
        counts = {name: stack.replicas(name) for name in names or stack.names}
        longest = [LogLine(name, "", count if count > 1 else None) for name, count in counts.items()]
        self._width = max(len(line.name) for line in longest)

    def text(self, line: LogLine, style: Style) -> str:
        # A width means a terminal, which control characters of a line must not reach.
        text = line.text if style.width is None else visible(line.text, lines=True)
        if self._timestamps:
            text = f"{style.paint(_time(line.time), DIM)} {text}"
        if not self._named:
            return text
        return f"{style.paint(f'{line.name:<{self._width}} |', self._colour(line.component))} {text}"

    def _colour(self, component: str) -> str:
        names = self._stack.names
        return _COLOURS[names.index(component) % len(_COLOURS) if component in names else 0]


def _last(lines: Sequence[LogLine], count: int) -> list[LogLine]:
    """Return the last so many lines of each component and replica."""
    left: dict[str, int] = {}
    kept = []
    for line in reversed(lines):
        left[line.name] = left.get(line.name, 0) + 1
        if left[line.name] <= count:
            kept.append(line)
    return kept[::-1]


def _entry(line: LogLine) -> LogEntry:
    return LogEntry(line.component, line.replica, line.time, line.text)


def _time(time: datetime | None) -> str:
    if time is None:
        return _NO_TIME
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
