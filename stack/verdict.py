"""The judgement at the end of `up`: ready, or the failure with its cause.

Ready means: every component runs, its health was found since it started, none changed between two looks some time
apart, each database accepted the declared password, and each published component answered a real request, sent as
a user would send it, and complained of nothing that it uses.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stack.causes import recognise
from stack.components.postgres import Postgres
from stack.components.webapp import WebApp
from stack.engines.base import Engine
from stack.engines.process import Job
from stack.errors import StackError
from stack.instance import Instance
from stack.model import Stack
from stack.observed import ComponentState, Observed
from stack.progress import Progress

_INTERVAL = 0.25
_PROBE_TIMEOUT = 5.0
# The same processes have to be seen so many seconds apart; with one that is new; and with one that was restarted.
_APART = 0.1
_APART_NEW = 0.5
_APART_RESTARTED = 2.0
# How often to read what is not well wrote, and when to begin with what still runs.
_LOG_INTERVAL = 1.0
_LOG_AFTER = 3.0
# A container that ended this often while we looked is in a loop, however healthy it looks in between.
_TOO_MANY_RESTARTS = 3
# After the engine gave up on a component that others wait for: until it is clear what is wrong with that.
_CLEAR_AFTER = 10.0
# What is shown of a log; and what is searched, for between two attempts there may be more.
_LOG_LINES = 12
_LOG_SEARCHED = 40
_MOST_SAID = 300
_MOST_READ = 65536
# No patience mends what a health check says of the first, and the last lines of a log of the second.
_CERTAIN = ("password-mismatch", "data-incomplete")
_CERTAIN_IN_LOG = (
    "module-missing", "syntax-error", "variable-missing", "command-missing", "image-architecture", "data-version",
    "data-incomplete",
)  # fmt: skip
_LAST_LINES = 4
_LEFT = "what runs was left as it is, and no data was touched"
_LONGER = ", or give it longer with `stackctl up --timeout SECONDS`"
# 128 and the number of SIGKILL.
_KILLED = 137


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since some moment, never backwards."""

    def wait(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        threading.Event().wait(seconds)


@dataclass(frozen=True)
class Answer:
    """What a component answered to a request from outside: `ok`, or what was wrong."""

    ok: bool
    detail: str


Probe = Callable[[str], Answer]


@dataclass(frozen=True)
class Failure:
    """A component that certainly failed, and how."""

    component: str
    code: str
    problem: str


@dataclass(frozen=True)
class Verdict:
    """Ready, after so many seconds, with these components as last seen."""

    seconds: float
    observed: Observed


def http_probe(url: str) -> Answer:
    """One GET, past any proxy, as a program on this machine would send it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_PROBE_TIMEOUT) as response:
            wrong = complaints(response.headers.get_content_type(), response.read(_MOST_READ))
            return Answer(not wrong, f"{response.status} from {url}" + (f": {'; '.join(wrong)}" if wrong else ""))
    except urllib.error.HTTPError as error:
        body = error.read(300).decode("utf-8", errors="replace").strip()
        return Answer(False, f"{error.code} from {url}: {body}".rstrip(": "))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(False, f"no answer from {url}: {reason}")


def complaints(kind: str, body: bytes) -> list[str]:
    """The checks that fail in an answer of type `application/health+json`, though its status is 200.

    An app may serve on without a part of what it uses; ready it is only with all of it.
    """
    if kind != "application/health+json":
        return []
    try:
        checks = json.loads(body)["checks"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name}: {check.get('output') or 'fails'}"
        for name, found in checks
        for check in (found if isinstance(found, list) else [found])
        if isinstance(check, dict) and check.get("status") == "fail"
    ]


def judge(stack: Stack, observed: Observed, before: Observed) -> Failure | None:
    """The failure that is certain from what is observed; restarts of `before` do not count.

    Of several it is the deepest: what fails because something fails that it uses is not the culprit. While that may
    still become well, nothing is certain.
    """
    failures = {}
    for name, component in observed.components.items():
        restarts = _restarts_since(before.components.get(name), component)
        if failure := _failure(name, component, restarts, _role(stack, name)):
            failures[name] = failure
    coming = {name for name, state in observed.components.items() if name not in failures and not _is_well(state)}
    certain = [name for name in failures if coming.isdisjoint(_used_by(stack, name))]
    return next((failures[name] for name in _deepest_first(stack, certain)), None)


def _used_by(stack: Stack, name: str) -> set[str]:
    """All that a component uses, also through others."""
    needs = stack[name].needs if name in stack.names else ()
    return {*needs, *(below for used in needs for below in _used_by(stack, used))}


def _deepest_first(stack: Stack, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: stack.depth(name) if name in stack.names else -1)


def _restarts_since(before: ComponentState | None, now: ComponentState) -> int:
    """The engine counts from 0 again when it makes a component anew, or starts a stopped one."""
    same = before is not None and before.id == now.id and before.restarts <= now.restarts
    return now.restarts - before.restarts if before is not None and same else now.restarts


def _role(stack: Stack | None, name: str) -> str:
    """Empty for what is not declared any more."""
    return stack[name].role if stack is not None and name in stack.names else ""


def _failure(name: str, component: ComponentState, restarts: int, role: str) -> Failure | None:
    ended = _ended(component)
    if component.oom_killed and not component.running:
        return Failure(name, "out-of-memory", f"{name} needed more memory than its limit and was killed")
    # How it ended is seen while it is down; one that is up again has forgotten it.
    looping = restarts >= (2 * _TOO_MANY_RESTARTS if component.running else _TOO_MANY_RESTARTS)
    if looping and component.exit_code == 0 and not component.running:
        return Failure(name, "server-ended", f"{name} ends by itself, without an error, each time it is started")
    if looping:
        return Failure(name, "crash-loop", f"{name} ends again and again ({restarts} restarts, {ended})")
    if component.state in ("exited", "dead"):
        return Failure(name, "component-exited", f"{name} ended ({ended})")
    if component.running and component.health == "starting":
        cause = recognise(name, component.health_output, role)
        if cause is not None and cause.code in _CERTAIN:
            return Failure(name, cause.code, f"{name} runs; its health check said: {_brief(component.health_output)}")
    if component.health == "unhealthy":
        said = _brief(component.health_output) or "nothing"
        return Failure(name, "unhealthy", f"{name} runs but its health check fails; it said: {said}")
    return None


def _ended(component: ComponentState) -> str:
    ended = f"exit code {component.exit_code}"
    if component.exit_code == _KILLED and not component.oom_killed:
        ended += ": it was killed, most likely for want of memory"
    return ended


def _brief(said: str) -> str:
    """On one line; of what is long the end, for there a traceback says what happened."""
    line = " ".join(said.split())
    return line if len(line) <= _MOST_SAID else f"…{line[-_MOST_SAID:]}"


class _Calm:
    """For how long we see the same processes, each in the same state."""

    def __init__(self, observed: Observed, clock: Clock) -> None:
        self._clock = clock
        self._processes = observed.processes
        self._began = clock.now()

    def seconds(self, observed: Observed) -> float:
        """As of this look."""
        if (now := observed.processes) != self._processes:
            self._processes, self._began = now, self._clock.now()
        return self._clock.now() - self._began


def await_ready(
    instance: Instance,
    engine: Engine,
    job: Job,
    before: Observed,
    timeout: float,
    progress: Progress,
    probe: Probe = http_probe,
    clock: Clock | None = None,
) -> Verdict:
    """Watch `job` make the instance until it is ready.

    Raises `StackError` as soon as failure is certain, with the culprit's last lines, or with `not-ready` after
    `timeout` seconds. What runs is left running, to be looked at.
    """
    clock = clock or SystemClock()
    start = clock.now()
    answers: Mapping[str, Answer] = {}
    unproved = [each for each in instance.stack if isinstance(each, Postgres)]
    calm = _Calm(before, clock)
    read_logs = start
    gave_up: float | None = None
    while True:
        exit_code = job.wait(_INTERVAL)
        observed = engine.observe()
        calm.seconds(observed)
        progress.states({name: component.summary for name, component in observed.components.items()})
        fresh = observed if exit_code is not None else _changed(before, observed)
        if failure := judge(instance.stack, fresh, before):
            raise _failed(instance.stack, engine, failure)
        if clock.now() >= read_logs:
            read_logs = clock.now() + _LOG_INTERVAL
            if failure := _read_failure(instance.stack, engine, fresh, patient=clock.now() - start < _LOG_AFTER):
                raise _failed(instance.stack, engine, failure)
        if exit_code:
            if error := _refusal(engine, observed, job):
                raise error
            gave_up = clock.now() if gave_up is None else gave_up
            if clock.now() - gave_up >= _CLEAR_AFTER:
                raise _given_up(instance.stack, engine, observed)
        unproved = _prove(instance, engine, observed, unproved)
        if exit_code == 0 and not unproved and _settled(instance, observed):
            answers = _ask(instance, probe)
            if all(answer.ok for answer in answers.values()):
                clock.wait(max(0.0, min(_APART_NEW, _enough(observed, before) - calm.seconds(observed))))
                observed = engine.observe()
                if calm.seconds(observed) >= _enough(observed, before) and _settled(instance, observed):
                    return Verdict(clock.now() - start, observed)
        if clock.now() - start >= timeout:
            raise _too_late(instance.stack, engine, observed, answers, timeout)
        if exit_code is not None:
            clock.wait(_INTERVAL)


def await_proved(
    instance: Instance,
    engine: Engine,
    database: Postgres,
    job: Job,
    before: Observed,
    timeout: float,
    progress: Progress,
    clock: Clock | None = None,
) -> None:
    """Watch `job` start a database alone until it is well and accepts the declared password.

    Raises `StackError` as `await_ready` does; what else there is of the instance is not looked at.
    """
    clock = clock or SystemClock()
    start = clock.now()
    while True:
        exit_code = job.wait(_INTERVAL)
        observed = _alone(engine.observe(), database.name)
        progress.states({name: component.summary for name, component in observed.components.items()})
        fresh = observed if exit_code is not None else _changed(before, observed)
        patient = clock.now() - start < _LOG_AFTER
        failure = judge(instance.stack, fresh, before) or _read_failure(instance.stack, engine, fresh, patient)
        if failure:
            raise _failed(instance.stack, engine, failure)
        if exit_code:
            raise engine.explain(job)
        if exit_code == 0 and not _prove(instance, engine, observed, [database], early=True):
            return
        if clock.now() - start >= timeout:
            raise _too_late(None, engine, observed, {}, timeout)
        if exit_code is not None:
            clock.wait(_INTERVAL)


def _alone(observed: Observed, name: str) -> Observed:
    return Observed({each: state for each, state in observed.components.items() if each == name})


def await_well(engine: Engine, job: Job, timeout: float, progress: Progress, clock: Clock | None = None) -> None:
    """Watch `job` until all that exists runs and is well, whatever is declared. Raises `StackError` if it does not."""
    clock = clock or SystemClock()
    start = clock.now()
    while True:
        exit_code = job.wait(_INTERVAL)
        observed = engine.observe()
        progress.states({name: component.summary for name, component in observed.components.items()})
        if exit_code:
            raise engine.explain(job)
        states = observed.components.values()
        if exit_code == 0 and all(state.well for state in states):
            return
        if clock.now() - start >= timeout:
            raise _too_late(None, engine, observed, {}, timeout)
        if exit_code is not None:
            clock.wait(_INTERVAL)


def _changed(before: Observed, observed: Observed) -> Observed:
    """Without the processes that were there before: the job may be about to replace or start them."""
    old = {name: component.since for name, component in before.components.items()}
    return Observed(
        {name: component for name, component in observed.components.items() if old.get(name) != component.since}
    )


def _prove(
    instance: Instance, engine: Engine, observed: Observed, databases: list[Postgres], early: bool = False
) -> list[Postgres]:
    """Connect to each database that is well as those who use it do. Gives those that are not proved yet.

    With `early` to each that runs, before its health was asked. Raises `StackError` where the server refuses: no
    patience changes its mind.
    """
    left = []
    for database in databases:
        state = observed.components.get(database.name)
        if state is None or not (state.running if early else _is_well(state)):
            left.append(database)
            continue
        answer = engine.prove(database, state)
        cause = None if answer.ok else recognise(database.name, answer.stderr, database.role)
        if cause is not None:
            raise _failed(
                instance.stack, engine, Failure(database.name, cause.code, f"{database.name} runs"), answer.stderr
            )
        if not answer.ok:
            left.append(database)
    return left


def _is_well(state: ComponentState) -> bool:
    """Its health, where it says anything of it, was found since it was started."""
    fresh = state.health_at is None or state.since is None or state.health_at >= state.since
    return state.well and (fresh or state.health == "none")


def _settled(instance: Instance, observed: Observed) -> bool:
    """Every declared component is well."""
    states = [observed.components.get(name) for name in instance.stack.names]
    return all(state is not None and _is_well(state) for state in states)


def _enough(observed: Observed, before: Observed) -> float:
    """For how many seconds the processes have to stay as they are."""
    if any(_restarts_since(before.components.get(name), now) for name, now in observed.components.items()):
        return _APART_RESTARTED
    return _APART_NEW if _changed(before, observed).exists else _APART


def _read_failure(stack: Stack, engine: Engine, observed: Observed, patient: bool) -> Failure | None:
    """The failure that is certain from the last lines of what is not well.

    Of what runs only a database is sure not to get over it; `patient`: not even that.
    """
    for name in _deepest_first(stack, _sick(observed)):
        state = observed.components[name]
        if name not in stack.names or (state.running and (patient or not isinstance(stack[name], Postgres))):
            continue
        cause = recognise(name, "\n".join(engine.log_lines(name, _LAST_LINES)), _role(stack, name))
        if cause is not None and cause.code in _CERTAIN_IN_LOG:
            return Failure(name, cause.code, f"{name} {'runs' if state.running else f'ended ({_ended(state)})'}")
    return None


def _ask(instance: Instance, probe: Probe) -> Mapping[str, Answer]:
    return {
        component.name: probe(f"http://127.0.0.1:{instance.ports[component.name]}{component.health}")
        for component in instance.stack
        if isinstance(component, WebApp)
    }


def _failed(stack: Stack, engine: Engine, failure: Failure, said: str = "") -> StackError:
    hint = f"read its whole log with `stackctl logs {failure.component}`, mend the cause and run `stackctl up` again"
    return _told(stack, engine, failure, said, f"{hint}; {_LEFT}")


def _told(stack: Stack | None, engine: Engine, failure: Failure, said: str, hint: str) -> StackError:
    """A failure with the last lines of its component, and the cause that these tell of, or `said`."""
    name = failure.component
    role = _role(stack, name)
    lines = engine.log_lines(name, _LOG_SEARCHED)
    log, longer = "\n".join(lines[-_LOG_LINES:]), "\n".join(lines)
    cause = recognise(name, said, role) or recognise(name, f"{failure.problem}\n{log}", role)
    if cause is None and (cause := recognise(name, longer, role)):
        log = longer
    if cause is None or failure.code == "out-of-memory":
        return StackError(failure.code, failure.problem, hint, log)
    hint = f"{cause.hint}; `stackctl logs {name}` shows more; {_LEFT}"
    return StackError(cause.code, f"{cause.message} ({failure.problem})", hint, log)


def _refusal(engine: Engine, observed: Observed, job: Job) -> StackError | None:
    """What the engine says of a job that failed; None where it only gave up on a component that is not well."""
    error = engine.explain(job)
    if error.code not in ("docker-failed", "supervisord-failed"):
        return error
    if cause := recognise("a component", error.output):
        return StackError(cause.code, f"{cause.message} ({error.message})", f"{cause.hint}; {_LEFT}", error.output)
    return None if _sick(observed) else error


def _sick(observed: Observed) -> list[str]:
    """What was started and is not well."""
    return [name for name, state in observed.components.items() if not _is_well(state) and state.state != "created"]


def _given_up(stack: Stack, engine: Engine, observed: Observed) -> StackError:
    culprit = _deepest_first(stack, _sick(observed))[0]
    state = observed.components[culprit]
    problem = f"{culprit} is {state.summary}, and others wait for it"
    if state.health_output:
        problem += f"; its health check said: {_brief(state.health_output)}"
    code = "unhealthy" if state.running else "component-exited"
    return _failed(stack, engine, Failure(culprit, code, problem), state.health_output)


def _too_late(
    stack: Stack | None, engine: Engine, observed: Observed, answers: Mapping[str, Answer], timeout: float
) -> StackError:
    """The culprit is the deepest that is not well, for that is what others wait for."""
    there = observed.components
    names = list(there) if stack is None else _deepest_first(stack, stack.names)
    states = ", ".join(f"{name} {there[name].summary if name in there else 'absent'}" for name in names)
    unanswered = {name: answers[name].detail for name in names if name in answers and not answers[name].ok}
    unwell = [name for name in names if name not in there or not _is_well(there[name])]
    late = "; ".join([f"not ready after {timeout:g} s: {states or 'nothing runs'}", *unanswered.values()])
    culprit = next(iter([*unwell, *unanswered]), None)
    hint = f"look at `stackctl logs {culprit or ''}`".rstrip() + _LONGER
    if culprit is None:
        return StackError("not-ready", late, hint)
    said = there[culprit].health_output if culprit in there else ""
    if culprit in unwell and said:
        late += f"; the health check of {culprit} said: {_brief(said)}"
    return _told(stack, engine, Failure(culprit, "not-ready", late), "\n".join([said, *unanswered.values()]), hint)
