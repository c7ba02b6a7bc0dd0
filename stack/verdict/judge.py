"""Decide from what was observed whether a component failed for certain, is healthy, or may still get there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from stack.causes import recognise
from stack.frozen import dataclass
from stack.model import Stack
from stack.observed import ComponentState, Listening, Observed, together

# The same processes have to be seen so many seconds apart; with one that is new; and with one that was restarted.
_APART = 0.1
APART_NEW = 0.5
_APART_RESTARTED = 2.0
# A container that ended this often while we looked is in a loop, however healthy it looks in between.
_TOO_MANY_RESTARTS = 3
_LONGEST_OUTPUT = 300
# However long one waits, what a health check says of these does not change.
_CERTAIN = ("password-mismatch", "data-incomplete")
# By their numbers on Linux and macOS.
_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 4: "SIGILL", 6: "SIGABRT", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE",
    15: "SIGTERM",
}  # fmt: skip
_HAS_TO_RUN = "it has to go on running: declare what ends when its work is done as a `Job`"
# For so many seconds after its start an app that gives no good answer is starting.
_STARTS_WITHIN = 60.0
# So many seconds has a component to run to be stable after it was started again; and after a few times.
_STABLE_AFTER = 5.0
_STABLE_AFTER_MANY = 60.0


@dataclass(frozen=True)
class Answer:
    """What a component answered to a request from outside: `ok`, or what was wrong."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Failure:
    """A component that certainly failed, and how."""

    component: str
    code: str
    problem: str
    hint: str = ""


def judge(stack: Stack, observed: Observed, before: Observed, starting: Collection[str] = ()) -> Failure | None:
    """The failure that is certain from what is observed; restarts of `before` do not count.

    `starting`: the components that may still become healthy, whatever their health is now. Of several
    it is the deepest: what fails because something fails that it uses is not the culprit. While that may still become
    healthy, nothing is certain.
    """
    failures: dict[str, Failure] = {}
    for name, component in observed.components.items():
        for replica, restarts in _restarts(before.components.get(name), component):
            what = _of_replica(name, replica) if component.replicas else name
            failure = _failure(name, what, replica, restarts, role_of(stack, name), name in starting)
            if failure is not None:
                failures.setdefault(name, failure)
    pending = {name for name, state in observed.components.items() if name not in failures and not is_well(state)}
    certain = [name for name in failures if pending.isdisjoint(_used_by(stack, name))]
    return next((failures[name] for name in deepest_first(stack, certain)), None)


def _used_by(stack: Stack, name: str) -> set[str]:
    """All that a component uses, also through others."""
    needs = stack[name].needs if name in stack.names else ()
    return {*needs, *(below for used in needs for below in _used_by(stack, used))}


def deepest_first(stack: Stack, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: stack.depth(name) if name in stack.names else -1)


def restarts_since(before: ComponentState | None, now: ComponentState) -> int:
    """Count the restarts between two observations, of all replicas."""
    return sum(count for _, count in _restarts(before, now))


def _restarts(before: ComponentState | None, now: ComponentState) -> list[tuple[ComponentState, int]]:
    """Return each replica with the count of its restarts between two observations.

    The engine resets its count when it recreates a component or starts a stopped one.
    """
    known = {each.id: each.restarts for each in before.each} if before is not None else {}
    counts = [(each, known.get(each.id, 0)) for each in now.each]
    return [(each, each.restarts - old if old <= each.restarts else each.restarts) for each, old in counts]


def restarted(before: Observed, observed: Observed) -> Mapping[str, int]:
    """How often each component was started again since `before`, of those that were."""
    counts = {name: restarts_since(before.components.get(name), now) for name, now in observed.components.items()}
    return {name: count for name, count in counts.items() if count}


def loops(before: Observed, observed: Observed) -> set[str]:
    """What is about to be started again, or was so often since `before` that it will be once more."""
    return {
        name
        for name, state in observed.components.items()
        for replica, restarts in _restarts(before.components.get(name), state)
        if replica.state == "restarting" or (replica.running and restarts >= _TOO_MANY_RESTARTS)
    }


def called(name: str, state: ComponentState) -> str:
    """Name a component for people, or the worst of its replicas, if any is not well."""
    return name if all(each.well for each in state.replicas) else _of_replica(name, state)


def _of_replica(name: str, replica: ComponentState) -> str:
    return f"replica {replica.number} of {name}"


def role_of(stack: Stack | None, name: str) -> str:
    """Empty for what is not declared any more."""
    return stack[name].role if stack is not None and name in stack.names else ""


def failure_of(name: str, job: ComponentState) -> Failure | None:
    """Return how a job failed that has ended; None if that was with 0."""
    if job.oom_killed:
        return Failure(name, "out-of-memory", f"the job {name} needed more memory than its limit and was killed")
    return Failure(name, "job-failed", f"the job {name} failed ({ended(job)})") if job.exit_code else None


def _failure(
    name: str, what: str, component: ComponentState, restarts: int, role: str, starting: bool
) -> Failure | None:
    if component.once:
        return failure_of(name, component) if component.state in ("exited", "dead") else None
    how = ended(component)
    if component.oom_killed and not component.running:
        return Failure(name, "out-of-memory", f"{what} needed more memory than its limit and was killed")
    # How it ended is seen while it is down; one that is up again has forgotten it.
    looping = restarts >= (2 * _TOO_MANY_RESTARTS if component.running else _TOO_MANY_RESTARTS)
    if looping and component.exit_code == 0 and not component.running:
        return Failure(name, "server-ended", f"{what} ends by itself, without an error, each time it is started")
    if looping:
        return Failure(name, "crash-loop", f"{what} keeps exiting ({restarts} restarts, {how})")
    if component.state in ("exited", "dead"):
        return Failure(name, "component-exited", f"{what} ended ({how})", "" if component.exit_code else _HAS_TO_RUN)
    if component.running and component.health == "starting":
        cause = recognise(name, component.health_output, role)
        if cause is not None and cause.code in _CERTAIN:
            return Failure(name, cause.code, f"{what} runs; its health check said: {brief(component.health_output)}")
    if component.health == "unhealthy" and not starting:
        said = brief(component.health_output) or "nothing"
        return Failure(name, "unhealthy", f"{what} runs but its health check fails; it said: {said}")
    return None


def ended(component: ComponentState) -> str:
    """How a component ended, with the name of the signal that did it, and on which machine, if there are several."""
    signal = _SIGNALS.get(component.exit_code - 128)
    how = f"exit code {component.exit_code}" + (f": {signal}" if signal else "")
    where = f", on the node {component.node}" if component.node else ""
    return f"{brief(component.reason) or how}{where}"


def brief(said: str) -> str:
    """On one line; of what is long the end, for there a traceback says what happened."""
    line = " ".join(said.split())
    return line if len(line) <= _LONGEST_OUTPUT else f"…{line[-_LONGEST_OUTPUT:]}"


def is_well(state: ComponentState) -> bool:
    """Its health, where it says anything of it, was found since it was started."""
    return state.well and all(each.health == "none" or _is_fresh(each) for each in state.each)


def _is_fresh(state: ComponentState) -> bool:
    return state.health_at is None or state.since is None or state.health_at >= state.since


def assess(
    stack: Stack | None, observed: Observed, answers: Mapping[str, Answer], ready: Mapping[str, str], now: datetime
) -> Observed:
    """Give each component that runs its health as a user meets it.

    `answers` are those to requests from outside; `ready` has the `identity` of each process that was found ready.
    """
    return replace(
        observed,
        components={
            name: _assessed_all(
                state, answers.get(name), _is_checked(stack, name), ready.get(name) == identity(state), now
            )
            for name, state in observed.components.items()
        },
    )


def identity(state: ComponentState) -> str:
    """One for each start of each component."""
    return f"{state.id} {state.since.isoformat() if state.since else ''}".rstrip()


def _is_checked(stack: Stack | None, name: str) -> bool:
    """Whether the engine asks for its health as stackctl says, and not as its image does."""
    check = stack.own_workload(name, "container").healthcheck if stack is not None and name in stack.names else None
    return check is not None and bool(check.test)


def _assessed_all(
    state: ComponentState, answer: Answer | None, checked: bool, was_ready: bool, now: datetime
) -> ComponentState:
    assessed = [_assessed(each, answer, checked, was_ready, now) for each in state.each]
    return together(assessed, state.wanted) if state.replicas else assessed[0]


def _assessed(
    state: ComponentState, answer: Answer | None, checked: bool, was_ready: bool, now: datetime
) -> ComponentState:
    if not state.running:
        return state
    young = age(state, now) < _STARTS_WITHIN and not was_ready
    if answer is not None and not answer.ok and state.health in ("none", "healthy"):
        return replace(state, health="starting" if young else "unhealthy", health_output=answer.detail)
    if state.health == "starting" and (was_ready or (checked and not young)):
        return replace(state, health="unhealthy")
    if state.health in ("none", "healthy") and not is_stable(state, now):
        return replace(state, health="unstable")
    return replace(state, health="healthy") if answer is not None and answer.ok and state.health == "none" else state


def age(state: ComponentState, now: datetime) -> float:
    """The seconds since its last start; 0 if that is not known."""
    return (now - state.since).total_seconds() if state.since else 0.0


def is_stable(state: ComponentState, now: datetime) -> bool:
    """Whether a component that was started again by the engine has run on since."""
    if not state.restarts:
        return True
    return age(state, now) >= (_STABLE_AFTER_MANY if state.restarts >= _TOO_MANY_RESTARTS else _STABLE_AFTER)


@dataclass(frozen=True)
class Misplaced:
    """A component that listens where no request reaches it. `certain`: on its own port, so that no other will come."""

    problem: str
    hint: str
    certain: bool


def misplaced(name: str, listening: Listening) -> Misplaced | None:
    """What is wrong with where a component listens; None if nothing is, or if it does not listen at all."""
    port, everywhere = listening.port, "0.0.0.0"  # noqa: S104 - nothing is bound to it
    addresses = {_plain(address) for address, on in listening.found if on == port}
    if any(not address.is_loopback or (not listening.inside and address.version == 4) for address in addresses):
        return None
    if addresses:
        where = " and ".join(sorted(map(str, addresses)))
        behind = "inside its container, where nothing outside reaches it" if listening.inside else "alone"
        hint = f"let it listen on {everywhere if listening.inside else '127.0.0.1'}"
        return Misplaced(f"{name} listens on port {port} of {where} {behind}", hint, certain=True)
    if not listening.found:
        return None
    others = ", ".join(str(other) for other in sorted({on for _, on in listening.found}))
    hint = f"let it listen on the port in its variable PORT, which is {port}" + (
        ", or declare the other: `port=` of an app, `ports=` of a Container" if listening.inside else ""
    )
    return Misplaced(f"{name} listens on {others}, not on {port}", hint, certain=False)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """`::ffff:127.0.0.1` is 127.0.0.1."""
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def settled(names: Iterable[str], observed: Observed) -> bool:
    """Say whether each of these components is well."""
    states = [observed.components.get(name) for name in names]
    return all(state is not None and is_well(state) for state in states)


def undone(jobs: Iterable[str], observed: Observed) -> list[str]:
    """Return those of these jobs that have not been done, and do not run."""
    states = {name: observed.components.get(name) for name in jobs}
    return [name for name, state in states.items() if state is None or not (state.well or state.running)]


def enough(observed: Observed, before: Observed) -> float:
    """For how many seconds the processes have to stay as they are."""
    if restarted(before, observed):
        return _APART_RESTARTED
    return APART_NEW if changed(before, observed).exists else _APART


def changed(before: Observed, observed: Observed, replaced: Collection[str] = ()) -> Observed:
    """Leave out the processes that were there before: the job may be about to start or replace them.

    What is to be replaced may be started again by the engine until then, and then ends because it is stopped.
    """
    fresh = {
        name: _fresh_of(now, before.components.get(name), name in replaced) for name, now in observed.components.items()
    }
    return Observed({name: state for name, state in fresh.items() if state is not None})


def _fresh_of(now: ComponentState, before: ComponentState | None, replaced: bool) -> ComponentState | None:
    """Leave out the replicas that were there before; None if all were."""
    had = {each.number: each for each in before.each} if before is not None else {}
    new = [
        each
        for each in now.each
        if (old := had.get(each.number)) is None or not (old.since == each.since or (replaced and old.id == each.id))
    ]
    if len(new) == len(now.each):
        return now
    return replace(together(new, len(new)), replicas=tuple(new)) if new else None


def unhealthy(observed: Observed) -> list[str]:
    """What was started and is not well."""
    return [name for name, state in observed.components.items() if not is_well(state) and state.state != "created"]
