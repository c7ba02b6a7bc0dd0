"""`stackctl events`: what changes, as it changes, one JSON object a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol

from stack.engines.process import FinishedJob
from stack.errors import ExitCode, StackError
from stack.observed import ComponentState, Observed, StateWord
from stack.progress import Silence
from stack.report import Report, json_line
from stack.results.lifecycle import Event
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.verdict.health import observe
from stack.verdict.watch import await_ready
from stack.workflow.externals import external_statuses
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.summary import overall

Until = Literal["ready", "down"]
Components = Mapping[str, ComponentState | None]
"""By name; None: it is not there."""
Words = Mapping[str, StateWord]
"""By name: the state of each server that stackctl does not run."""

_INTERVAL = 1.0
# Servers that others look after are not logged in to each second.
_EXTERNAL_INTERVAL = 10.0
# How long what is well may take to answer before what goes on is told.
_ANSWER_TIMEOUT = 5.0


class Reader(Protocol):
    """Who reads the lines."""

    @property
    def gone(self) -> bool:
        """Whether the reader has closed its end."""

    def write(self, line: str) -> None:
        """One line, at once."""


def events(settings: Settings, reader: Reader, until: Until | None = None) -> Report[Nothing]:
    """Write the state of each component, and then each change.

    Ends when interrupted, when the reader is gone, and with `until` once the instance is ready or nothing of it runs.
    """
    pause = threading.Event()
    known: Components = {}
    known_externals: Words = {}
    asked = -_EXTERNAL_INTERVAL
    try:
        while not reader.gone:
            opened = look(settings)
            observed = observe(opened.instance, opened.engine)
            now = dict.fromkeys(opened.instance.stack.names) | dict(observed.components)
            due = time.monotonic() - asked >= _EXTERNAL_INTERVAL or _may_be_over(until, opened, observed)
            externals = _external_words(opened) if due else known_externals
            asked = time.monotonic() if due else asked
            at = datetime.now(UTC)
            for event in (*changes(known, now, at), *external_changes(known_externals, externals, at)):
                reader.write(json_line(event))
            known, known_externals = now, externals
            if _may_be_over(until, opened, observed) and (until == "down" or _is_ready(opened, observed, externals)):
                break
            pause.wait(_INTERVAL)
    except KeyboardInterrupt:
        return Report("events", "", Nothing(), exit_code=ExitCode.INTERRUPTED)
    return Report("events", "", Nothing())


def changes(before: Components, after: Components, time: datetime) -> Iterator[Event]:
    """What a look differs from the one before it in: a state, a health, a start that fell in between."""
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        if name in before and _identity(old) == _identity(new):
            continue
        ended = new is not None and new.state in ("exited", "restarting", "dead", "done")
        yield Event(
            time=time.isoformat(timespec="milliseconds"),
            component=name,
            from_=_word(old) if name in before else None,
            to=_word(new),
            restarts=new.restarts if new else 0,
            exit_code=new.exit_code if new and ended else None,
        )


def external_changes(before: Words, after: Words, time: datetime) -> Iterator[Event]:
    """The same of servers that stackctl does not run, which are well or not."""
    for name, word in after.items():
        if before.get(name) != word:
            yield Event(time.isoformat(timespec="milliseconds"), name, before.get(name), word, 0, None)


def _external_words(opened: Opened) -> Words:
    return {name: "unhealthy" if each.problem else "healthy" for name, each in external_statuses(opened).items()}


def _identity(component: ComponentState | None) -> object:
    return None if component is None else (component.id, component.restarts, _word(component))


def _word(component: ComponentState | None) -> StateWord:
    return component.word if component else "absent"


def _may_be_over(until: Until | None, opened: Opened, observed: Observed) -> bool:
    """Say whether the components are as `until` wants them to be."""
    wanted = {"down": ("absent", "stopped"), "ready": ("up", "partial")}
    return until is not None and overall(opened.instance, observed) in wanted[until]


def _is_ready(opened: Opened, observed: Observed, externals: Words) -> bool:
    return "unhealthy" not in externals.values() and _answers(opened, observed)


def _answers(opened: Opened, observed: Observed) -> bool:
    """Whether the verdict of `up` is that it is ready."""
    try:
        await_ready(opened.instance, opened.engine, FinishedJob(), observed, _ANSWER_TIMEOUT, Silence())
    except StackError:
        return False
    return True
