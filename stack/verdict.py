"""The judgement at the end of `up`: ready, or the failure with its cause.

Ready means: every component runs and is healthy, none restarted while we looked, and each published component
answered a real request, sent as a user would send it.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stack.components.webapp import WebApp
from stack.engines.base import Engine
from stack.engines.process import Job
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.progress import Progress

_INTERVAL = 0.25
_PROBE_TIMEOUT = 5.0
# A container that ended this often while we looked is in a loop, however healthy it looks in between.
_TOO_MANY_RESTARTS = 3
_LOG_LINES = 12


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
            return Answer(True, f"{response.status} from {url}")
    except urllib.error.HTTPError as error:
        body = error.read(300).decode("utf-8", errors="replace").strip()
        return Answer(False, f"{error.code} from {url}: {body}".rstrip(": "))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(False, f"no answer from {url}: {reason}")


def judge(observed: Observed, before: Observed) -> Failure | None:
    """The failure that is certain from what is observed; restarts of `before` do not count."""
    for name, component in observed.components.items():
        if failure := _failure(name, component, _restarts_since(before.components.get(name), component)):
            return failure
    return None


def _restarts_since(before: ComponentState | None, now: ComponentState) -> int:
    """The engine counts from 0 again when it makes a component anew, or starts a stopped one."""
    same = before is not None and before.id == now.id and before.restarts <= now.restarts
    return now.restarts - before.restarts if before is not None and same else now.restarts


def _failure(name: str, component: ComponentState, restarts: int) -> Failure | None:
    ended = f"exit code {component.exit_code}"
    if component.oom_killed and not component.running:
        return Failure(name, "out-of-memory", f"{name} needed more memory than its limit and was killed")
    if restarts >= _TOO_MANY_RESTARTS:
        return Failure(name, "crash-loop", f"{name} ends again and again ({restarts} restarts, {ended})")
    if component.state in ("exited", "dead"):
        return Failure(name, "component-exited", f"{name} ended ({ended})")
    if component.health == "unhealthy":
        said = component.health_output or "nothing"
        return Failure(name, "unhealthy", f"{name} runs but its health check fails; it said: {said}")
    return None


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
    while True:
        exit_code = job.wait(_INTERVAL)
        observed = engine.observe()
        progress.states({name: component.summary for name, component in observed.components.items()})
        fresh = observed if exit_code is not None else _changed(before, observed)
        if failure := judge(fresh, before):
            raise _failed(engine, failure)
        if exit_code:
            raise engine.explain(job)
        if exit_code == 0 and _settled(instance, observed):
            answers = _ask(instance, probe)
            if all(answer.ok for answer in answers.values()) and _steady(observed, engine.observe()):
                return Verdict(clock.now() - start, observed)
        if clock.now() - start >= timeout:
            raise _too_late(engine, observed, answers, timeout)
        if exit_code is not None:
            clock.wait(_INTERVAL)


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
        if exit_code == 0 and all(state.running and state.health in ("healthy", "none") for state in states):
            return
        if clock.now() - start >= timeout:
            raise _too_late(engine, observed, {}, timeout)
        if exit_code is not None:
            clock.wait(_INTERVAL)


def _changed(before: Observed, observed: Observed) -> Observed:
    """Without the processes that were there before: the job may be about to replace or start them."""
    old = {name: component.since for name, component in before.components.items()}
    return Observed(
        {name: component for name, component in observed.components.items() if old.get(name) != component.since}
    )


def _settled(instance: Instance, observed: Observed) -> bool:
    """Every declared component runs, and is healthy where it says anything about its health."""
    states = [observed.components.get(name) for name in instance.stack.names]
    return all(state is not None and state.running and state.health in ("healthy", "none") for state in states)


def _steady(earlier: Observed, later: Observed) -> bool:
    def processes(observed: Observed) -> dict[str, tuple[str, int]]:
        return {name: (component.state, component.restarts) for name, component in observed.components.items()}

    return processes(earlier) == processes(later)


def _ask(instance: Instance, probe: Probe) -> Mapping[str, Answer]:
    return {
        component.name: probe(f"http://127.0.0.1:{instance.ports[component.name]}{component.health}")
        for component in instance.stack
        if isinstance(component, WebApp)
    }


def _failed(engine: Engine, failure: Failure) -> StackError:
    hint = (
        f"read its whole log with `stackctl logs {failure.component}`, mend the cause and run `stackctl up` again; "
        "what runs was left as it is, and no data was touched"
    )
    log = "\n".join(engine.log_lines(failure.component, _LOG_LINES))
    return StackError(failure.code, failure.problem, hint, log)


def _too_late(engine: Engine, observed: Observed, answers: Mapping[str, Answer], timeout: float) -> StackError:
    states = ", ".join(f"{name} {component.summary}" for name, component in observed.components.items())
    unanswered = [answer.detail for answer in answers.values() if not answer.ok]
    waiting = [name for name, component in observed.components.items() if component.health == "starting"]
    culprit = next(iter([*waiting, *(name for name, answer in answers.items() if not answer.ok)]), None)
    return StackError(
        "not-ready",
        "; ".join([f"not ready after {timeout:g} s: {states or 'nothing runs'}", *unanswered]),
        f"look at `stackctl logs {culprit or ''}`".rstrip()
        + ", or give it longer with `stackctl up --timeout SECONDS`",
        "\n".join(engine.log_lines(culprit, _LOG_LINES)) if culprit else "",
    )
