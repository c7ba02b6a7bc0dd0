"""Tell when the components that work at times of their own have run, and run next."""

from __future__ import annotations

from datetime import datetime

from stack.errors import StackError
from stack.observed import Observed
from stack.report import count, duration
from stack.results.instances import Runs
from stack.workflow.opened import Opened

_TIMEOUT = 5.0


def schedule_runs(opened: Opened, observed: Observed, now: datetime) -> dict[str, Runs]:
    """Ask each schedule that is running for its runs."""
    found = {}
    for component in opened.instance.stack:
        state, timetable = observed.components.get(component.name), component.timetable
        if timetable is not None and state is not None and state.running:
            session = opened.engine.session(component.name, state)
            try:
                noted = session.run(timetable.record, _TIMEOUT).stdout
            except StackError:
                continue  # it is being stopped
            found[component.name] = timetable.read(noted, now)
    return found


def run_line(name: str, runs: Runs, now: datetime) -> str:
    """Say it for people: `backup: last run 3h 2m ago (12 s), next in 20h 57m; missed 2 runs, the last 1d 3h ago`."""
    parts = [_last(runs, now)]
    if runs.next_run is not None:
        parts.append(f"next in {duration((runs.next_run - now).total_seconds())}")
    missed = f"; missed {count(runs.missed, 'run')}" if runs.missed else ""
    if runs.missed and runs.last_missed is not None:
        missed += f", the last {_ago(runs.last_missed, now)}"
    return f"{name}: {', '.join(parts)}{missed}"


def _last(runs: Runs, now: datetime) -> str:
    if runs.last_run is None:
        return "has not run yet"
    if runs.running:
        return f"running for {duration((now - runs.last_run).total_seconds())}"
    ago = _ago(runs.last_run, now)
    if runs.exit_code is None:
        return f"last run {ago} was cut off"
    if runs.exit_code:
        return f"last run {ago} failed (exit code {runs.exit_code})"
    return f"last run {ago} ({runs.seconds} s)"


def _ago(time: datetime, now: datetime) -> str:
    return f"{duration((now - time).total_seconds())} ago"
