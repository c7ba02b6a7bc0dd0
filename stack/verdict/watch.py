"""Look at an instance again and again until it is ready, or until failure is certain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from stack.causes import recognise
from stack.component import Component
from stack.engines.base import Engine
from stack.engines.process import Job
from stack.frozen import dataclass
from stack.instance import Instance
from stack.model import Stack
from stack.observed import ComponentState, Observed
from stack.progress import Progress
from stack.report import times
from stack.verdict.done import recorded, with_done
from stack.verdict.explain import ReadLog, failed, given_up, not_done, refusal, too_late
from stack.verdict.judge import (
    APART_NEW,
    Answer,
    Failure,
    age,
    assess,
    called,
    changed,
    deepest_first,
    ended,
    enough,
    identity,
    is_well,
    judge,
    restarted,
    role_of,
    settled,
    undone,
    unhealthy,
)
from stack.verdict.listen import ListenCheck, own_answers
from stack.verdict.loading import Loading
from stack.verdict.probe import Probe, accepts, ask, ask_url, urls
from stack.verdict.ready import found_ready

_INTERVAL = 0.25
# How often to read the log of what is not healthy, and when to begin with what still runs.
_LOG_INTERVAL = 1.0
_LOG_AFTER = 3.0
# After the engine gave up on a component that others wait for: until it is clear what is wrong with that.
_CLEAR_AFTER = 10.0
# However long one waits, what the last lines of a log say of these does not change.
CERTAIN_IN_LOG = (
    "module-missing", "syntax-error", "variable-missing", "command-missing", "image-architecture", "data-version",
    "data-incomplete", "setting-refused", "image-differs", "data-differs",
)  # fmt: skip
_LAST_LINES = 4
# For so many seconds a look waits for a database that starts, and sees nothing else meanwhile.
_PATIENCE = 1.0


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
class Verdict:
    """Ready, after so many seconds, with these components as last seen.

    `restarted`: how often each was started again meanwhile, of those that were.
    """

    seconds: float
    observed: Observed
    restarted: Mapping[str, int] = field(default_factory=dict)


class _Stability:
    """Measure for how long the same processes are seen, each in the same state."""

    def __init__(self, observed: Observed, clock: Clock) -> None:
        self._clock = clock
        self._processes = observed.processes
        self._began = clock.now()

    def seconds(self, observed: Observed) -> float:
        """As of this look."""
        if (now := observed.processes) != self._processes:
            self._processes, self._began = now, self._clock.now()
        return self._clock.now() - self._began


@dataclass(frozen=True)
class _Look:
    """What was observed, how the job ended (None: it goes on), and the seconds since the first look."""

    observed: Observed
    exit_code: int | None
    seconds: float


class _Watch:
    """Look at an instance while a job works on it, and afterwards; `only` at some of its components.

    `answers` are the last ones from outside, `ready` the processes that were found ready before. `completed` adds to
    what the engine tells which jobs are done.
    """

    def __init__(
        self,
        engine: Engine,
        job: Job,
        progress: Progress,
        timeout: float,
        clock: Clock,
        only: Collection[str] | None = None,
    ) -> None:
        self.engine = engine
        self.answers: Mapping[str, Answer] = {}
        self.ready: Mapping[str, str] = {}
        self.completed: Callable[[Observed], Observed] = lambda observed: observed
        self._job = job
        self._progress = progress
        self._timeout = timeout
        self._clock = clock
        self._only = only
        self._began = clock.now()
        self._began_at = datetime.now(UTC)
        self._observed = Observed({})

    @property
    def seconds(self) -> float:
        return self._clock.now() - self._began

    @property
    def late(self) -> bool:
        return self.seconds >= self._timeout

    def observe(self) -> Observed:
        observed = self.completed(self.engine.observe())
        if self._only is not None:
            observed = Observed({name: state for name, state in observed.components.items() if name in self._only})
        self._observed = observed
        return observed

    def assessed(self, observed: Observed) -> Observed:
        """Each component with its health as `status` shows it."""
        return assess(None, observed, self.answers, self.ready, datetime.now(UTC))

    def starting(self, observed: Observed) -> set[str]:
        """The components that were never found ready and had less than the timeout to get so."""
        now, ready = datetime.now(UTC), self.ready
        states = observed.components.items()
        return {name for name, each in states if age(each, now) < self._timeout and ready.get(name) != identity(each)}

    def read_log(self, name: str, count: int) -> Sequence[str]:
        """Read the last lines that a component wrote since this began, or since its last start if that was before."""
        state = self._observed.components.get(name)
        began = state.since if state is not None else None
        return self.engine.log_lines(name, count, min(began or self._began_at, self._began_at))

    def report(self, observed: Observed) -> Observed:
        """Show each component as it is by its engine and by what it answered. Gives the same."""
        assessed = self.assessed(observed)
        self._progress.states({name: state.summary for name, state in assessed.components.items()})
        return assessed

    def __iter__(self) -> Iterator[_Look]:
        """One look after the other, with a pause between; the caller ends it."""
        if (tunnel := self.engine.tunnel) is not None:
            tunnel.open()
        while True:
            exit_code = self._job.wait(_INTERVAL)
            observed = self.observe()
            self.report(observed)
            yield _Look(observed, exit_code, self.seconds)
            if exit_code is not None:
                self._clock.wait(_INTERVAL)


def await_ready(
    instance: Instance,
    engine: Engine,
    job: Job,
    before: Observed,
    timeout: float,
    progress: Progress,
    probe: Probe = ask_url,
    clock: Clock | None = None,
    replaced: Collection[str] = (),
    only: Collection[str] = (),
    verified: Collection[str] = (),
) -> Verdict:
    """Watch `job` make the instance until it is ready. `replaced`: the components of which it replaces what runs.

    `only`: those that are looked at, all that are to run if none is named. `verified`: databases that were found to
    accept the declared password, and that `job` does not touch.

    Raises `StackError` as soon as failure is certain, with the culprit's last lines, or with `not-ready` after
    `timeout` seconds. What runs is left running, to be looked at.
    """
    clock = clock or SystemClock()
    stack = instance.stack
    names = [name for name in instance.expected if name in only] if only else instance.expected
    jobs, part = [name for name in stack.jobs if name in names], bool(only or instance.stopped)
    watch = _Watch(engine, job, progress, timeout, clock, only=names if part else None)
    watch.ready = found_ready(instance.state)
    watch.completed = partial(with_done, instance, jobs=recorded(instance).jobs)
    listening = ListenCheck(engine, lambda observed: urls(instance, observed), timeout)
    unverified = [stack[name] for name in names if stack[name].login is not None and name not in verified]
    stability, loading = _Stability(before, clock), Loading(engine, clock.now)
    read_logs = 0.0
    gave_up: float | None = None
    for look in watch:
        observed = look.observed
        stability.seconds(observed)
        loading.found(changed(before, observed), urls(instance, observed))
        fresh = observed if look.exit_code is not None else changed(before, observed, replaced)
        if failure := judge(stack, fresh, before, watch.starting(fresh)):
            raise failed(stack, watch.read_log, failure)
        if look.seconds >= read_logs:
            read_logs = look.seconds + _LOG_INTERVAL
            failure = _read_failure(stack, watch.read_log, fresh, before, patient=look.seconds < _LOG_AFTER)
            failure = failure or listening.failure(fresh, watch.answers, look.seconds)
            if failure:
                raise failed(stack, watch.read_log, failure)
        if look.exit_code:
            if error := refusal(engine, observed, job):
                raise error
            gave_up = look.seconds if gave_up is None else gave_up
            if look.seconds - gave_up >= _CLEAR_AFTER:
                raise given_up(stack, watch.read_log, observed)
        # One that is about to be replaced may have what is no longer declared, such as another password.
        going = [each for each in unverified if each.name in replaced and look.exit_code is None]
        unverified = going + _verify(instance, watch, observed, [each for each in unverified if each not in going])
        if look.exit_code == 0 and (pending := undone(jobs, observed)):
            raise not_done(stack, pending)
        if look.exit_code == 0 and not unverified and settled(names, observed):
            watch.answers = ask(instance, observed, probe)
            if all(answer.ok for answer in watch.answers.values()):
                clock.wait(max(0.0, min(APART_NEW, enough(observed, before) - stability.seconds(observed))))
                observed = watch.observe()
                stable = (
                    stability.seconds(observed) >= enough(observed, before)
                    and settled(names, observed)
                    and not loading.found(changed(before, observed), urls(instance, observed))
                )
                # Asked twice, for one answer of an app may be good and the next one bad.
                if stable:
                    watch.answers = own_answers(engine, observed, ask(instance, observed, probe))
                if stable and all(answer.ok for answer in watch.answers.values()):
                    return Verdict(watch.seconds, watch.report(observed), restarted(before, observed))
        if watch.late:
            assessed = watch.assessed(observed)
            raise too_late(stack, watch.read_log, assessed, watch.answers, listening.found, timeout, names)
    raise AssertionError


def await_verified(
    instance: Instance,
    engine: Engine,
    components: Sequence[Component],
    job: Job,
    before: Observed,
    timeout: float,
    progress: Progress,
    clock: Clock | None = None,
    probe: Probe = ask_url,
) -> None:
    """Watch `job` start some components until they work: a database as soon as it accepts the declared password.

    Raises `StackError` as `await_ready` does; what else there is of the instance is not looked at.
    """
    databases = [each for each in components if each.login is not None]
    others = [each.name for each in components if each.login is None]
    watch = _Watch(engine, job, progress, timeout, clock or SystemClock(), only=[each.name for each in components])
    for look in watch:
        fresh = look.observed if look.exit_code is not None else changed(before, look.observed)
        patient = look.seconds < _LOG_AFTER
        failure = judge(instance.stack, fresh, before, watch.starting(fresh)) or _read_failure(
            instance.stack, watch.read_log, fresh, before, patient
        )
        if failure:
            raise failed(instance.stack, watch.read_log, failure)
        if look.exit_code:
            raise job.explain()
        there = look.observed.components
        well = all(name in there and is_well(there[name]) for name in others)
        if look.exit_code == 0 and well and not _verify(instance, watch, look.observed, databases, early=True):
            watch.answers = ask(instance, look.observed, probe) if others else {}
            if all(answer.ok for answer in watch.answers.values()):
                return
        if watch.late:
            raise too_late(None, watch.read_log, look.observed, {}, {}, timeout)


def await_well(
    engine: Engine,
    job: Job,
    timeout: float,
    progress: Progress,
    clock: Clock | None = None,
    only: Collection[str] = (),
) -> None:
    """Watch `job` until all that exists and runs on is healthy, and accepts connections on its published port.

    `only`: these components. Whatever is declared: that may be another health path. Raises `StackError` if it does not
    get so.
    """
    watch = _Watch(engine, job, progress, timeout, clock or SystemClock(), only=only or None)
    for look in watch:
        if look.exit_code:
            raise job.explain()
        states = look.observed.components.values()
        lasting = [each for each in states if not each.once]
        if look.exit_code == 0 and all(_answers(each) for each in lasting):
            return
        if watch.late:
            raise too_late(None, watch.read_log, look.observed, {}, {}, timeout)


def _answers(state: ComponentState) -> bool:
    """Say whether a component is well, and accepts connections on its published ports."""
    return state.well and all(accepts(port, state.first.address) for port in state.ports.values())


def _verify(
    instance: Instance, watch: _Watch, observed: Observed, databases: list[Component], early: bool = False
) -> list[Component]:
    """Connect to each database that is healthy as an app does; return those that are not verified yet.

    With `early` to each that runs, before its health was asked. Raises `StackError` if the server refuses: that does
    not change by waiting.
    """
    left = []
    for database in databases:
        state, login = observed.components.get(database.name), database.login
        if login is None:
            continue
        if state is None or not (state.running if early else is_well(state)):
            left.append(database)
            continue
        answer = login.verify(watch.engine.session(database.name, state), _PATIENCE if early else 0)
        cause = None if answer.ok else recognise(database.name, answer.stderr, database.role)
        if cause is not None:
            raise failed(
                instance.stack,
                watch.read_log,
                Failure(database.name, cause.code, f"{database.name} runs"),
                answer.stderr,
            )
        if not answer.ok:
            left.append(database)
    return left


def _read_failure(stack: Stack, read: ReadLog, observed: Observed, before: Observed, patient: bool) -> Failure | None:
    """The failure that is certain from the last lines of what is not well, or was started again since `before`.

    Of what still runs since its first start only a database is sure not to get over it; `patient`: not even that. What
    takes a while to end with an error is hardly ever seen at its end, for the engine starts it again at once.
    """
    again = restarted(before, observed)
    for name in deepest_first(stack, dict.fromkeys([*unhealthy(observed), *again])):
        state = observed.components[name]
        runs = state.state == "running"
        if name not in stack.names or (runs and name not in again and (patient or stack[name].data is None)):
            continue
        cause = recognise(name, "\n".join(read(name, _LAST_LINES)), role_of(stack, name))
        if cause is not None and cause.code in CERTAIN_IN_LOG:
            how = f"was started again {times(again[name])}" if name in again else "runs"
            how = how if runs else f"ended ({ended(state)})"
            return Failure(name, cause.code, f"{called(name, state)} {how}")
    return None
