"""The verdict says ready only of what is ready, and fails as soon as failure is certain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from stack import Postgres, Stack, WebApp
from stack.engines.base import Engine
from stack.engines.process import Completed, Job
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.verdict import Answer, Verdict, await_ready, judge

BORN = datetime(2026, 1, 2, tzinfo=UTC)
UP = ComponentState("1", "running", "healthy", 0, 0, False, BORN, "image", None)
STACK = Stack("shop", [WebApp("web", source="."), Postgres("db")])
INSTANCE = Instance("shop", "shop", STACK, Path("/"), Path("/"), {"web": 8000})
NOTHING = Observed({})
YES = Answer(True, "200")
NO = Answer(False, "503 from /health")


@dataclass
class FakeClock:
    time: float = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeJob:
    """Ends with `exit_code` after so many looks."""

    clock: FakeClock
    looks: int = 0
    exit_code: int = 0

    def wait(self, seconds: float) -> int | None:
        self.looks -= 1
        if self.looks < 0:
            return self.exit_code
        self.clock.wait(seconds)
        return None


@dataclass
class FakeEngine:
    """Shows one observation after the other, and the last one for ever."""

    scenes: Sequence[Observed]
    log: Sequence[str] = ("the last words",)
    proof: Completed = field(default_factory=lambda: Completed(0, "1", ""))
    _left: Iterator[Observed] | None = None

    def observe(self) -> Observed:
        self._left = self._left or iter(self.scenes)
        return next(self._left, self.scenes[-1])

    def log_lines(self, component: str | None, tail: int | None) -> Sequence[str]:
        return [f"{component}: {line}" for line in self.log]

    def prove(self, database: Postgres) -> Completed:
        return self.proof

    def explain(self, job: FakeJob) -> StackError:
        return StackError("port-taken", "as the engine says")


@dataclass
class Recorder:
    seen: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.seen.append(text)

    def states(self, states: object) -> None:
        self.seen.append(str(states))


def scene(web: ComponentState | None = UP, db: ComponentState | None = UP) -> Observed:
    return Observed({name: state for name, state in (("web", web), ("db", db)) if state})


def verdict(
    *scenes: Observed,
    answers: Sequence[Answer] = (YES,),
    before: Observed = NOTHING,
    looks: int = 0,
    exit_code: int = 0,
    timeout: float = 30,
) -> Verdict:
    clock = FakeClock()
    left = iter(answers)
    return await_ready(
        INSTANCE,
        cast(Engine, FakeEngine(scenes)),
        cast(Job, FakeJob(clock, looks, exit_code)),
        before,
        timeout,
        Recorder(),
        probe=lambda url: next(left, answers[-1]),
        clock=clock,
    )


def test_ready_when_all_is_healthy_and_a_request_is_answered() -> None:
    assert verdict(scene()).observed == scene()


def test_not_ready_before_the_engine_has_done_its_work() -> None:
    with pytest.raises(StackError) as raised:
        verdict(scene(), looks=1000)
    assert raised.value.code == "not-ready"


def test_not_ready_while_a_component_starts() -> None:
    starting = replace(UP, health="starting")
    assert verdict(scene(db=starting), scene(db=starting), scene()).seconds == 0.5


def test_not_ready_while_a_component_is_missing() -> None:
    with pytest.raises(StackError, match="not ready after 30 s: web healthy"):
        verdict(scene(db=None))


def test_not_ready_until_the_request_is_answered() -> None:
    assert verdict(scene(), answers=[NO, NO, YES]).seconds == 0.5


def test_a_component_that_restarts_behind_the_answer_is_not_ready() -> None:
    once = replace(UP, restarts=1)
    assert verdict(scene(), scene(web=once)).seconds == 0.25


def test_too_late_tells_every_state_and_the_last_answer() -> None:
    with pytest.raises(StackError) as raised:
        verdict(scene(), answers=[NO], timeout=5)
    error = raised.value
    assert (error.code, error.message) == (
        "not-ready",
        "not ready after 5 s: web healthy, db healthy; 503 from /health",
    )
    assert "stackctl logs web" in error.hint
    assert error.output == "web: the last words"


@pytest.mark.parametrize(
    ("state", "code", "message"),
    [
        (replace(UP, state="exited", exit_code=3), "component-exited", "db ended (exit code 3)"),
        (replace(UP, state="exited"), "component-exited", "db ended (exit code 0)"),
        (
            replace(UP, id="2", restarts=3, exit_code=1),
            "crash-loop",
            "db ends again and again (3 restarts, exit code 1)",
        ),
        (
            replace(UP, state="restarting", exit_code=137, oom_killed=True),
            "out-of-memory",
            "db needed more memory than its limit and was killed",
        ),
        (
            replace(UP, health="unhealthy", health_output="no route"),
            "unhealthy",
            "db runs but its health check fails; it said: no route",
        ),
    ],
)
def test_a_certain_failure_ends_the_wait_with_its_culprit(state: ComponentState, code: str, message: str) -> None:
    with pytest.raises(StackError) as raised:
        verdict(scene(db=replace(state, id="2", since=BORN + timedelta(seconds=9))), before=scene(), looks=1000)
    assert (raised.value.code, raised.value.message) == (code, message)
    assert raised.value.output == "db: the last words"


def test_a_crash_loop_is_seen_although_every_look_finds_it_running() -> None:
    restarts = [scene(web=replace(UP, restarts=count)) for count in (0, 0, 1, 1, 2, 3)]
    with pytest.raises(StackError, match="web ends again and again"):
        verdict(*restarts, answers=[NO])


def test_restarts_of_long_ago_do_not_count() -> None:
    old = replace(UP, restarts=40)
    assert verdict(scene(web=old), before=scene(web=old)).observed == scene(web=old)


def test_what_had_failed_before_is_not_judged_until_the_engine_is_done() -> None:
    stopped = replace(UP, state="exited", exit_code=137)
    assert verdict(scene(stopped, stopped), scene(), before=scene(stopped, stopped), looks=1)


def test_what_had_failed_before_and_stays_so_is_a_failure() -> None:
    stopped = replace(UP, state="exited", exit_code=137)
    with pytest.raises(StackError, match="web ended"):
        verdict(scene(web=stopped), before=scene(web=stopped), looks=1)


def test_when_the_engine_fails_it_says_why() -> None:
    with pytest.raises(StackError) as raised:
        verdict(NOTHING, exit_code=1)
    assert raised.value.code == "port-taken"


def test_a_server_that_ends_without_an_error_is_told_as_that() -> None:
    with pytest.raises(StackError, match="ends by itself, without an error") as raised:
        verdict(scene(web=replace(UP, state="restarting", restarts=3)))
    assert raised.value.code == "server-ended"


def test_the_deepest_that_fails_is_the_culprit() -> None:
    stack = Stack("shop", [WebApp("web", source=".", uses=["db"]), Postgres("db")])
    sick = replace(UP, health="unhealthy", health_output="no")
    found = judge(stack, scene(web=sick, db=sick), NOTHING)
    assert found is not None
    assert found.component == "db"


def test_a_health_from_before_its_start_is_not_believed() -> None:
    old = replace(UP, health_at=BORN - timedelta(seconds=1))
    with pytest.raises(StackError):
        verdict(scene(db=old), timeout=2)
    assert verdict(scene(db=replace(UP, health_at=BORN + timedelta(seconds=1))))


def test_a_database_that_refuses_the_declared_password_fails_at_once() -> None:
    engine = FakeEngine([scene()], proof=Completed(2, "", 'FATAL: password authentication failed for user "student"'))
    clock = FakeClock()
    with pytest.raises(StackError, match="refuses the password of student") as raised:
        await_ready(
            INSTANCE, cast(Engine, engine), cast(Job, FakeJob(clock)), NOTHING, 30, Recorder(),
            probe=lambda url: YES, clock=clock,
        )  # fmt: skip
    assert (raised.value.code, clock.time) == ("password-mismatch", 0)
    assert "stackctl rotate" in raised.value.hint


def test_a_cause_that_its_log_tells_is_the_failures_code() -> None:
    engine = FakeEngine([scene(web=replace(UP, state="restarting", restarts=3, exit_code=1))],
                        log=["ModuleNotFoundError: No module named 'flask'"])  # fmt: skip
    clock = FakeClock()
    with pytest.raises(StackError, match="web can't import flask") as raised:
        await_ready(INSTANCE, cast(Engine, engine), cast(Job, FakeJob(clock)), NOTHING, 30, Recorder(), clock=clock)
    assert raised.value.code == "module-missing"
    assert "3 restarts, exit code 1" in raised.value.message
