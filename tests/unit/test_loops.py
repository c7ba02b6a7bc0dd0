"""After a failure nothing goes on ending for ever, and `up` says what was started again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack import Postgres, Stack
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.workflow.loops import restart_lines, stop_loops
from tests.unit.fake_engine import FakeEngine, World

INSTANCE = Instance("shop", "shop", Stack("shop", [Postgres("db")]), Path("/"), Path("/"), {})
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")
LOOPING = replace(UP, state="restarting", health="none", restarts=3, exit_code=1)
ERROR = StackError("crash-loop", "web keeps exiting", "read its log", "no configuration")


def test_what_ends_again_and_again_is_stopped_and_named() -> None:
    world = World({"web": LOOPING, "worker": replace(UP, restarts=4), "db": UP})
    error = stop_loops(FakeEngine(world, INSTANCE), Observed({"worker": UP}), ERROR)
    assert [name for name, state in world.components.items() if not state.running] == ["web", "worker"]
    assert (error.code, error.message, error.output) == (ERROR.code, ERROR.message, ERROR.output)
    assert error.hint == "read its log; web and worker were stopped so as not to restart for ever"


def test_what_runs_is_left_as_it_is() -> None:
    world = World({"web": replace(UP, restarts=1), "db": UP})
    assert stop_loops(FakeEngine(world, INSTANCE), Observed({}), ERROR) is ERROR
    assert all(state.running for state in world.components.values())


def test_a_culprit_that_was_started_again_is_stopped() -> None:
    world = World({"web": replace(UP, restarts=1), "worker": replace(UP, restarts=1), "db": UP})
    culprit = StackError("module-missing", "web can't import flask", "install it")
    culprit.component = "web"
    error = stop_loops(FakeEngine(world, INSTANCE), Observed({}), culprit)
    assert [name for name, state in world.components.items() if not state.running] == ["web"]
    assert error.hint == "install it; web was stopped so as not to restart for ever"
    world = World({"web": replace(UP, restarts=1)})
    assert stop_loops(FakeEngine(world, INSTANCE), Observed({"web": replace(UP, restarts=1)}), culprit) is culprit
    culprit.code = "not-ready"
    assert stop_loops(FakeEngine(world, INSTANCE), Observed({}), culprit) is culprit, "it may get well"


def test_an_engine_that_cannot_stop_does_not_hide_the_failure() -> None:
    def refuse(step: str) -> None:
        if step == "stop web":
            raise StackError("docker-daemon", "the Docker daemon does not answer")

    world = World({"web": LOOPING}, step=refuse)
    assert stop_loops(FakeEngine(world, INSTANCE), Observed({}), ERROR) is ERROR


def test_what_was_started_again_is_a_warning() -> None:
    assert restart_lines({}) == []
    assert restart_lines({"web": 1, "worker": 3}) == [
        "warning: web ended and was started again once meanwhile; `stackctl logs web` shows why",
        "warning: worker ended and was started again 3 times meanwhile; `stackctl logs worker` shows why",
    ]
