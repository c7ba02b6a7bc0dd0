"""`stackctl events`: what changes, as it changes, one JSON object a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol

from stack.encoding import encoded
from stack.engines.process import FinishedJob
from stack.errors import ExitCode, StackError
from stack.observed import ComponentState, Observed, StateWord
from stack.progress import Silence
from stack.report import Report
from stack.results.access import Nothing
from stack.results.lifecycle import Event
from stack.settings import Settings
from stack.verdict import await_ready, observe
from stack.workflow.opening import Opened, look
from stack.workflow.summary import overall

Until = Literal["ready", "down"]
Components = Mapping[str, ComponentState | None]
"""By name; None: it is not there."""

_INTERVAL = 1.0
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
    try:
        while not reader.gone:
            opened = look(settings)
            observed = observe(opened.instance, opened.engine)
            now = dict.fromkeys(opened.instance.stack.names) | dict(observed.components)
            for event in changes(known, now, datetime.now(UTC)):
                reader.write(json.dumps(encoded(event)))
            known = now
            if until is not None and _is_over(until, opened, observed):
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


def _identity(component: ComponentState | None) -> object:
    return None if component is None else (component.id, component.restarts, _word(component))


def _word(component: ComponentState | None) -> StateWord:
    return component.word if component else "absent"


def _is_over(until: Until, opened: Opened, observed: Observed) -> bool:
    if until == "down":
        return overall(opened.instance, observed) in ("absent", "stopped")
    return overall(opened.instance, observed) == "up" and _answers(opened, observed)


def _answers(opened: Opened, observed: Observed) -> bool:
    """Whether the verdict of `up` is that it is ready."""
    try:
        await_ready(opened.instance, opened.engine, FinishedJob(), observed, _ANSWER_TIMEOUT, Silence())
    except StackError:
        return False
    return True
