"""Decide from what was observed whether a component failed for certain, is healthy, or may still get there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stack.causes import recognise
from stack.instance import Instance
from stack.model import Stack
from stack.observed import ComponentState, Observed

# The same processes have to be seen so many seconds apart; with one that is new; and with one that was restarted.
_APART = 0.1
APART_NEW = 0.5
_APART_RESTARTED = 2.0
# A container that ended this often while we looked is in a loop, however healthy it looks in between.
_TOO_MANY_RESTARTS = 3
_LONGEST_OUTPUT = 300
# However long one waits, what a health check says of these does not change.
_CERTAIN = ("password-mismatch", "data-incomplete")
# 128 and the number of SIGKILL.
_KILLED = 137


@dataclass(frozen=True)
class Failure:
    """A component that certainly failed, and how."""

    component: str
    code: str
    problem: str


def judge(stack: Stack, observed: Observed, before: Observed) -> Failure | None:
    """The failure that is certain from what is observed; restarts of `before` do not count.

    Of several it is the deepest: what fails because something fails that it uses is not the culprit. While that may
    still become well, nothing is certain.
    """
    failures = {}
    for name, component in observed.components.items():
        restarts = restarts_since(before.components.get(name), component)
        if failure := _failure(name, component, restarts, role_of(stack, name)):
            failures[name] = failure
    coming = {name for name, state in observed.components.items() if name not in failures and not is_well(state)}
    certain = [name for name in failures if coming.isdisjoint(_used_by(stack, name))]
    return next((failures[name] for name in deepest_first(stack, certain)), None)


def _used_by(stack: Stack, name: str) -> set[str]:
    """All that a component uses, also through others."""
    needs = stack[name].needs if name in stack.names else ()
    return {*needs, *(below for used in needs for below in _used_by(stack, used))}


def deepest_first(stack: Stack, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: stack.depth(name) if name in stack.names else -1)


def restarts_since(before: ComponentState | None, now: ComponentState) -> int:
    """The engine counts from 0 again when it makes a component anew, or starts a stopped one."""
    same = before is not None and before.id == now.id and before.restarts <= now.restarts
    return now.restarts - before.restarts if before is not None and same else now.restarts


def role_of(stack: Stack | None, name: str) -> str:
    """Empty for what is not declared any more."""
    return stack[name].role if stack is not None and name in stack.names else ""


def _failure(name: str, component: ComponentState, restarts: int, role: str) -> Failure | None:
    how = ended(component)
    if component.oom_killed and not component.running:
        return Failure(name, "out-of-memory", f"{name} needed more memory than its limit and was killed")
    # How it ended is seen while it is down; one that is up again has forgotten it.
    looping = restarts >= (2 * _TOO_MANY_RESTARTS if component.running else _TOO_MANY_RESTARTS)
    if looping and component.exit_code == 0 and not component.running:
        return Failure(name, "server-ended", f"{name} ends by itself, without an error, each time it is started")
    if looping:
        return Failure(name, "crash-loop", f"{name} ends again and again ({restarts} restarts, {how})")
    if component.state in ("exited", "dead"):
        return Failure(name, "component-exited", f"{name} ended ({how})")
    if component.running and component.health == "starting":
        cause = recognise(name, component.health_output, role)
        if cause is not None and cause.code in _CERTAIN:
            return Failure(name, cause.code, f"{name} runs; its health check said: {brief(component.health_output)}")
    if component.health == "unhealthy":
        said = brief(component.health_output) or "nothing"
        return Failure(name, "unhealthy", f"{name} runs but its health check fails; it said: {said}")
    return None


def ended(component: ComponentState) -> str:
    text = f"exit code {component.exit_code}"
    if component.exit_code == _KILLED and not component.oom_killed:
        text += ": it was killed, most likely for want of memory"
    return text


def brief(said: str) -> str:
    """On one line; of what is long the end, for there a traceback says what happened."""
    line = " ".join(said.split())
    return line if len(line) <= _LONGEST_OUTPUT else f"…{line[-_LONGEST_OUTPUT:]}"


def is_well(state: ComponentState) -> bool:
    """Its health, where it says anything of it, was found since it was started."""
    fresh = state.health_at is None or state.since is None or state.health_at >= state.since
    return state.well and (fresh or state.health == "none")


def settled(instance: Instance, observed: Observed) -> bool:
    """Every declared component is well."""
    states = [observed.components.get(name) for name in instance.stack.names]
    return all(state is not None and is_well(state) for state in states)


def enough(observed: Observed, before: Observed) -> float:
    """For how many seconds the processes have to stay as they are."""
    if any(restarts_since(before.components.get(name), now) for name, now in observed.components.items()):
        return _APART_RESTARTED
    return APART_NEW if changed(before, observed).exists else _APART


def changed(before: Observed, observed: Observed, replaced: Collection[str] = ()) -> Observed:
    """Leave out the processes that were there before: the job may be about to start or replace them.

    What is to be replaced may be started again by the engine until then, and then ends because it is stopped.
    """

    def is_old(name: str, now: ComponentState) -> bool:
        old = before.components.get(name)
        return old is not None and (old.since == now.since or (name in replaced and old.id == now.id))

    return Observed({name: now for name, now in observed.components.items() if not is_old(name, now)})


def sick(observed: Observed) -> list[str]:
    """What was started and is not well."""
    return [name for name, state in observed.components.items() if not is_well(state) and state.state != "created"]
