"""Tell which jobs are done, and what does not run on purpose: an engine knows only how something ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from stack.applied import Applied, Done
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.state import State


def recorded(instance: Instance) -> Applied:
    """Read what is remembered of the jobs of an instance; nothing is read if it has none."""
    return State(instance.state).applied() if instance.stack.jobs else Applied()


def with_done(instance: Instance, observed: Observed, jobs: Mapping[str, Done]) -> Observed:
    """Call each job done whose last run was recorded, also if what it ran in is gone since, as after `down`."""
    done = {name: _done(observed.components.get(name), jobs.get(name)) for name in instance.stack.jobs}
    found = {name: state for name, state in done.items() if state is not None}
    return replace(observed, components={**observed.components, **found}) if found else observed


def with_stopped(instance: Instance, observed: Observed) -> Observed:
    """Call what has ended `stopped` if it does not run on purpose."""
    there = {name: state for name, state in observed.components.items() if name in instance.stopped}
    found = {name: _stopped(state) for name, state in there.items() if not state.running and not state.once}
    return replace(observed, components={**observed.components, **found}) if found else observed


def _stopped(state: ComponentState) -> ComponentState:
    replicas = tuple(map(_stopped, state.replicas))
    return replace(state, state="stopped", health="none", replicas=replicas) if state.state == "exited" else state


def _done(state: ComponentState | None, done: Done | None) -> ComponentState | None:
    if done is None:
        return None
    ended = datetime.fromisoformat(done.ended)
    if state is None:
        return ComponentState(
            id="", state="done", health="none", restarts=0, exit_code=0, oom_killed=False, since=None, image="",
            declaration=done.declaration, once=True, ended=ended,
        )  # fmt: skip
    if state.state == "created" or (state.state == "exited" and not state.exit_code):
        return replace(state, state="done", exit_code=0, ended=state.ended or ended)
    return None
