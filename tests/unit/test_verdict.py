"""The verdict says ready only of what is ready, and fails as soon as failure is certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stack import Postgres, Stack, WebApp
from stack.capabilities import Completed
from stack.engines.base import Engine
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.driver import EmbeddedEngine
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Listening, Observed
from stack.progress import Silence
from stack.verdict.explain import failed
from stack.verdict.judge import Answer, Failure, judge
from stack.verdict.probe import complaints
from stack.verdict.watch import Verdict, await_ready
from stack.workload import PortId
from tests.unit.clocks import FakeClock
from tests.unit.fake_engine import FakeEngine, FakeJob, World

BORN = datetime(2026, 1, 2, tzinfo=UTC)
UP = ComponentState("1", "running", "healthy", 0, 0, False, BORN, "image")
STACK = Stack("shop", [WebApp("web", source="."), Postgres("db")])
INSTANCE = Instance("shop", "shop", STACK, Path("/"), Path("/"), {PortId("web"): 8000})
NOTHING = Observed({})
YES = Answer(True, "200")
NO = Answer(False, "503 from /health")


def scene(web: ComponentState | None = UP, db: ComponentState | None = UP) -> Observed:
    return Observed({name: state for name, state in (("web", web), ("db", db)) if state})


def world_of(*scenes: Observed, log: Sequence[str] = ("the last words",)) -> World:
    return World(scenes=scenes, log=log)


def engine_of(world: World) -> FakeEngine:
    return FakeEngine(world, INSTANCE, like=ComposeEngine)


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
        engine_of(world_of(*scenes)),
        FakeJob(clock, looks, exit_code),
        before,
        timeout,
        Silence(),
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


def test_not_ready_while_every_other_answer_is_bad() -> None:
    with pytest.raises(StackError, match="503 from /health"):
        verdict(scene(), answers=[YES, NO] * 100)


def test_the_same_processes_are_seen_twice_some_time_apart() -> None:
    assert verdict(scene()).seconds == pytest.approx(0.5)


def test_what_was_there_before_is_seen_twice_sooner() -> None:
    assert verdict(scene(), before=scene()).seconds == pytest.approx(0.1)


def test_a_component_that_restarts_has_to_stay_up_for_a_while() -> None:
    once = replace(UP, restarts=1)
    assert verdict(scene(), scene(web=once)).seconds > 2


def test_a_recreated_component_has_to_be_seen_twice() -> None:
    other = replace(UP, id="2")
    assert verdict(scene(), scene(web=other)).seconds > 0.25


def test_a_component_that_goes_behind_the_answer_is_not_ready() -> None:
    gone = replace(UP, state="exited", exit_code=1)
    with pytest.raises(StackError, match="web ended"):
        verdict(scene(), scene(web=gone))


def test_too_late_tells_every_state_and_the_last_answer() -> None:
    with pytest.raises(StackError) as raised:
        verdict(scene(), answers=[NO], timeout=5)
    error = raised.value
    assert (error.code, error.message) == (
        "not-ready",
        "not ready after 5 s: web unhealthy, db healthy; 503 from /health",
    )
    assert "stackctl logs web" in error.hint
    assert error.output == "web: the last words"


@pytest.mark.parametrize(
    ("state", "code", "message"),
    [
        (replace(UP, state="exited", exit_code=3), "component-exited", "db ended (exit code 3)"),
        (replace(UP, state="exited"), "component-exited", "db ended (exit code 0)"),
        (
            replace(UP, id="2", state="restarting", restarts=3, exit_code=1),
            "crash-loop",
            "db keeps exiting (3 restarts, exit code 1)",
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
    restarts = [scene(web=replace(UP, restarts=count)) for count in (0, 0, 1, 1, 2, 3, 4, 5, 6)]
    with pytest.raises(StackError, match="web keeps exiting"):
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


CRASHING = replace(UP, state="restarting", restarts=5, exit_code=1)
STOPPED_TO_BE_REPLACED = replace(CRASHING, state="exited", exit_code=143, since=BORN + timedelta(seconds=9))


@pytest.mark.parametrize(("replaced", "ready"), [(("web",), True), ((), False)])
def test_what_is_being_replaced_is_not_judged_by_how_it_ends(replaced: tuple[str, ...], ready: bool) -> None:
    clock = FakeClock()
    world = world_of(scene(STOPPED_TO_BE_REPLACED), scene(replace(UP, id="2")))

    def judged() -> Verdict:
        return await_ready(
            INSTANCE, engine_of(world), FakeJob(clock, looks=1), scene(CRASHING), 30, Silence(),
            probe=lambda url: YES, clock=clock, replaced=replaced,
        )  # fmt: skip

    if ready:
        assert judged().observed.components["web"].id == "2"
    else:
        with pytest.raises(StackError, match="exit code 143"):
            judged()


def test_a_database_is_asked_for_its_new_password_once_it_is_replaced() -> None:
    clock, asked = FakeClock(), []
    engine = engine_of(world_of(scene(), scene(), scene(db=replace(UP, id="2", since=BORN + timedelta(seconds=9)))))
    session = engine.session

    def note(component: str, state: ComponentState | None = None) -> object:
        assert state is not None
        asked.append(state.id)
        return session(component, state)

    engine.session = note  # type: ignore[assignment, method-assign]
    await_ready(
        INSTANCE, engine, FakeJob(clock, looks=2), scene(), 30, Silence(),
        probe=lambda url: YES, clock=clock, replaced=("db",),
    )  # fmt: skip
    assert asked == ["2"]


@pytest.mark.parametrize("started", [BORN, datetime(2126, 1, 2, tzinfo=UTC)])
def test_an_error_quotes_only_lines_of_this_run(started: datetime) -> None:
    world = world_of(scene(web=replace(UP, state="exited", exit_code=1, since=started)))
    clock = FakeClock()
    began = datetime.now(UTC)
    with pytest.raises(StackError):
        await_ready(INSTANCE, engine_of(world), FakeJob(clock), NOTHING, 30, Silence(), clock=clock)
    assert world.read_since is not None
    assert world.read_since == started or began <= world.read_since < started


def test_when_the_engine_fails_it_says_why() -> None:
    with pytest.raises(StackError) as raised:
        verdict(NOTHING, exit_code=1)
    assert raised.value.code == "port-taken"


def test_a_server_that_ends_without_an_error_is_told_as_that() -> None:
    with pytest.raises(StackError, match="ends by itself, without an error") as raised:
        verdict(scene(web=replace(UP, state="restarting", restarts=3)))
    assert raised.value.code == "server-ended"


FRAMES = [f"    at step{number} (server.js:{number})" for number in range(1, 11)]
PROPERTIES = [f"  {name}: undefined," for name in ("length", "severity", "detail", "hint", "position", "where", "file")]
NODE = ["", "Node.js v24.21.0"]


@pytest.mark.parametrize(
    ("log", "first"),
    [
        (["listening", "Error: it is wrong", *FRAMES[:3], *NODE], "listening"),
        (["listening", "Error: it is wrong", *FRAMES, *NODE], "Error: it is wrong"),
        (["listening", "error: no such table", *FRAMES, *PROPERTIES, "}", *NODE], "error: no such table"),
        (["listening", "Error: it is wrong", *FRAMES, *map(str, range(12))], "0"),
        ([*FRAMES, *FRAMES], FRAMES[-2]),
        (["steps:", *(f"  step {number}" for number in range(20))], "  step 8"),
    ],
)
def test_the_lines_shown_of_a_long_stack_trace_begin_with_its_error(log: list[str], first: str) -> None:
    error = failed(STACK, lambda name, count: log[-count:], Failure("web", "crash-loop", "web exits"))
    assert error.output.splitlines() == [first, *log[-12:][1:]]


def test_the_deepest_that_fails_is_the_culprit() -> None:
    stack = Stack("shop", [WebApp("web", source=".", uses=["db"]), Postgres("db")])
    unhealthy = replace(UP, health="unhealthy", health_output="no")
    found = judge(stack, scene(web=unhealthy, db=unhealthy), NOTHING)
    assert found is not None
    assert found.component == "db"


def test_no_failure_is_certain_while_a_dependency_may_recover() -> None:
    stack = Stack("shop", [WebApp("web", source=".", uses=["api"]), WebApp("api", source=".", port=1, uses=["db"]),
                           Postgres("db")])  # fmt: skip
    loop = replace(UP, state="restarting", restarts=5, exit_code=1)
    coming = replace(UP, health="starting")
    assert judge(stack, Observed({"web": loop, "api": UP, "db": coming}), NOTHING) is None
    found = judge(stack, Observed({"web": loop, "api": UP, "db": UP}), NOTHING)
    assert found is not None
    assert (found.component, found.code) == ("web", "crash-loop")


def test_when_time_is_over_the_culprit_is_the_deepest_that_is_not_well() -> None:
    stack = Stack("shop", [WebApp("web", source=".", uses=["db"]), Postgres("db")])
    clock = FakeClock()
    coming = replace(UP, health="starting", health_output="psql: error:\n\tConnection refused")
    world = world_of(Observed({"web": replace(UP, state="created"), "db": coming}))
    with pytest.raises(StackError) as raised:
        await_ready(
            replace(INSTANCE, stack=stack), engine_of(world), FakeJob(clock, looks=1000), NOTHING, 3,
            Silence(), clock=clock,
        )  # fmt: skip
    error = raised.value
    assert error.code == "not-ready"
    assert error.message == (
        "not ready after 3 s: db starting, web created; the health check of db said: psql: error: Connection refused"
    )
    assert error.output == "db: the last words"
    assert "stackctl logs db" in error.hint


HEALTH = "application/health+json"


@pytest.mark.parametrize(
    ("kind", "body", "wrong"),
    [
        (HEALTH, '{"status": "pass", "checks": {"cache": {"status": "pass"}}}', []),
        (HEALTH, '{"status": "warn", "checks": {"cache": {"status": "fail", "output": "gone"}}}', ["cache: gone"]),
        (HEALTH, '{"status": "warn", "checks": {"cache": {"status": "fail"}}}', ["cache: fails"]),
        (HEALTH, '{"status": "warn", "checks": {"disk:used": [{"status": "warn"}]}}', []),
        (HEALTH, '{"status": "warn", "checks": {"db:x": [{"status": "pass"}, {"status": "fail"}]}}', ["db:x: fails"]),
        ("application/json", '{"checks": {"cache": {"status": "fail"}}}', []),
        *[(HEALTH, odd, []) for odd in ("", "[]", "{}", "ok", '{"checks": []}', '{"checks": {"a": 1, "b": [2]}}')],
    ],
)  # fmt: skip
def test_an_app_without_one_of_its_dependencies_is_not_ready(kind: str, body: str, wrong: list[str]) -> None:
    assert complaints(kind, body.encode()) == wrong


@pytest.mark.parametrize(
    ("listens", "seconds", "message"),
    [
        (Listening(frozenset({("127.0.0.1", 8000)}), 8000, True), 3, "web listens on port 8000 of 127.0.0.1 inside"),
        (Listening(frozenset({("0.0.0.0", 9999)}), 8000, True), 11, "web listens on 9999, not on 8000"),
        (Listening(frozenset(), 8000, True), 40, "not ready after 40 s: web unhealthy, db healthy; 503 from /health"),
    ],
)
def test_an_unreachable_app_is_reported_as_soon_as_it_is_certain(
    listens: Listening, seconds: float, message: str
) -> None:
    clock = FakeClock()
    world = World(scenes=[scene()], log=["the last words"], listens=listens)
    with pytest.raises(StackError) as raised:
        await_ready(
            INSTANCE, engine_of(world), FakeJob(clock), NOTHING, 40, Silence(),
            probe=lambda url: NO, clock=clock,
        )  # fmt: skip
    assert raised.value.code == "not-ready"
    assert raised.value.message.startswith(message)
    assert clock.time == pytest.approx(seconds, abs=1.5)


@pytest.mark.parametrize(
    ("ports", "problem"),
    [((), "another program answers at port 8000"), ((9999,), "web listens on 9999, not on 8000")],
)
def test_an_answer_of_another_program_is_not_that_of_a_process(ports: tuple[int, ...], problem: str) -> None:
    def judged(like: type[Engine], *listens: int) -> Verdict:
        clock, found = FakeClock(), frozenset(("127.0.0.1", port) for port in listens)
        world = World(scenes=[scene()], log=[], listens=Listening(found, 8000, inside=False))
        engine = FakeEngine(world, INSTANCE, like=like)
        return await_ready(INSTANCE, engine, FakeJob(clock), NOTHING, 5, Silence(), probe=lambda _: YES, clock=clock)

    with pytest.raises(StackError, match=problem):
        judged(EmbeddedEngine, *ports)
    assert judged(EmbeddedEngine, *ports, 8000).observed == scene()
    assert judged(ComposeEngine, *ports).observed == scene(), "its port is its own before it starts"


def test_what_was_started_again_meanwhile_is_told_with_the_verdict() -> None:
    assert verdict(scene(), scene(web=replace(UP, restarts=2)), answers=[NO, NO, YES]).restarted == {"web": 2}
    assert verdict(scene()).restarted == {}


def test_a_component_is_unhealthy_for_certain_only_once_it_had_its_time() -> None:
    slow = replace(UP, health="unhealthy", health_output="migrating", since=datetime.now(UTC) - timedelta(seconds=90))
    assert verdict(scene(web=slow), scene(web=slow), scene(), timeout=280).seconds > 0
    with pytest.raises(StackError, match="web runs but its health check fails"):
        verdict(scene(web=slow), scene(web=slow), scene(), timeout=60)


def test_a_health_from_before_its_start_is_not_believed() -> None:
    old = replace(UP, health_at=BORN - timedelta(seconds=1))
    with pytest.raises(StackError):
        verdict(scene(db=old), timeout=2)
    assert verdict(scene(db=replace(UP, health_at=BORN + timedelta(seconds=1))))


def test_a_database_that_refuses_the_declared_password_fails_at_once() -> None:
    refused = Completed(2, "", 'FATAL: password authentication failed for user "student"')
    world = World(scenes=[scene()], answer=refused)
    clock = FakeClock()
    with pytest.raises(StackError, match="refuses the password of student") as raised:
        await_ready(
            INSTANCE, engine_of(world), FakeJob(clock), NOTHING, 30, Silence(),
            probe=lambda url: YES, clock=clock,
        )  # fmt: skip
    assert (raised.value.code, clock.time) == ("password-mismatch", 0)
    assert "stackctl rotate" in raised.value.hint


def gives_up(*scenes: Observed, output: str = "dependency failed to start") -> tuple[StackError, float]:
    clock = FakeClock()
    world = world_of(*scenes)
    job = FakeJob(clock, exit_code=1, failure=StackError("docker-failed", "`docker compose up` failed", "", output))
    with pytest.raises(StackError) as raised:
        await_ready(INSTANCE, engine_of(world), job, NOTHING, 60, Silence(), clock=clock)
    return raised.value, clock.time


def test_after_the_engine_gives_up_the_cause_is_still_awaited() -> None:
    first, coming = replace(UP, state="restarting", exit_code=1), replace(UP, health="starting", restarts=1)
    created = replace(UP, state="created")
    error, seconds = gives_up(scene(created, first), scene(created, coming), scene(created, replace(first, restarts=4)))
    assert (error.code, seconds) == ("crash-loop", 0.5)
    assert error.output == "db: the last words"


def test_without_a_cause_the_output_of_the_check_is_shown() -> None:
    error, seconds = gives_up(scene(replace(UP, state="created"), replace(UP, health="starting", health_output="no")))
    assert (error.code, error.message) == (
        "unhealthy",
        "db is starting, and others wait for it; its health check said: no",
    )
    assert seconds == pytest.approx(10, abs=0.5)


def test_what_the_engine_itself_says_of_a_component_is_told_at_once() -> None:
    said = 'exec: "serve": executable file not found in $PATH'
    error, seconds = gives_up(scene(replace(UP, health="starting")), output=said)
    assert (error.code, seconds) == ("command-missing", 0)


MISSING_MODULE = "ModuleNotFoundError: No module named 'flask'"


@pytest.mark.parametrize(
    ("state", "line", "seconds"),
    [
        (replace(UP, state="restarting", exit_code=1), MISSING_MODULE, 0),
        (replace(UP, health="starting"), MISSING_MODULE, 30),
        (replace(UP, state="restarting", exit_code=1), "ValueError", 30),
        (replace(UP, state="created"), MISSING_MODULE, 30),
        (replace(UP, restarts=1), MISSING_MODULE, 0),
        (replace(UP, restarts=1, health="starting"), "ValueError", 30),
    ],
)
def test_a_log_that_tells_what_no_patience_mends_ends_the_wait(
    state: ComponentState, line: str, seconds: float
) -> None:
    clock = FakeClock()
    world = world_of(scene(web=state), log=[line])
    with pytest.raises(StackError) as raised:
        await_ready(INSTANCE, engine_of(world), FakeJob(clock), NOTHING, 30, Silence(), clock=clock)
    assert clock.time == pytest.approx(seconds, abs=1.1)
    assert raised.value.code == ("not-ready" if line == "ValueError" else "module-missing")


def test_a_cause_that_its_log_tells_is_the_failures_code() -> None:
    world = world_of(scene(web=replace(UP, state="restarting", restarts=3, exit_code=1)), log=[MISSING_MODULE])
    clock = FakeClock()
    with pytest.raises(StackError, match="web can't import flask") as raised:
        await_ready(INSTANCE, engine_of(world), FakeJob(clock), NOTHING, 30, Silence(), clock=clock)
    assert raised.value.code == "module-missing"
    assert "3 restarts, exit code 1" in raised.value.message
