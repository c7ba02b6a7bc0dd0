"""After a failure nothing goes on ending for ever, and `up` says what was started again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

from stack.engines.base import Engine
from stack.errors import StackError
from stack.observed import ComponentState, Observed
from stack.workflow.loops import restart_lines, stop_loops

UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")
LOOPING = replace(UP, state="restarting", health="none", restarts=3, exit_code=1)
ERROR = StackError("crash-loop", "web ends again and again", "read its log", "no configuration")


@dataclass
class FakeEngine:
    components: dict[str, ComponentState]
    refuses: bool = False
    stopped: list[set[str]] = field(default_factory=list)

    def observe(self) -> Observed:
        return Observed(dict(self.components))

    def stop(self, names: Collection[str] = ()) -> None:
        if self.refuses:
            raise StackError("docker-daemon", "the Docker daemon does not answer")
        self.stopped.append(set(names))
        self.components |= {name: replace(self.components[name], state="exited") for name in names}


def test_what_ends_again_and_again_is_stopped_and_named() -> None:
    engine = FakeEngine({"web": LOOPING, "worker": replace(UP, restarts=4), "db": UP})
    error = stop_loops(cast(Engine, engine), Observed({"worker": UP}), ERROR)
    assert engine.stopped == [{"web", "worker"}]
    assert (error.code, error.message, error.output) == (ERROR.code, ERROR.message, ERROR.output)
    assert error.hint == "read its log; web and worker were stopped so as not to restart for ever"


def test_what_runs_is_left_as_it_is() -> None:
    engine = FakeEngine({"web": replace(UP, restarts=1), "db": UP})
    assert stop_loops(cast(Engine, engine), Observed({}), ERROR) is ERROR
    assert engine.stopped == []


def test_an_engine_that_cannot_stop_does_not_hide_the_failure() -> None:
    assert stop_loops(cast(Engine, FakeEngine({"web": LOOPING}, refuses=True)), Observed({}), ERROR) is ERROR


def test_what_was_started_again_is_a_warning() -> None:
    assert restart_lines({}) == []
    assert restart_lines({"web": 1, "worker": 3}) == [
        "warning: web ended and was started again once meanwhile; `stackctl logs web` shows why",
        "warning: worker ended and was started again 3 times meanwhile; `stackctl logs worker` shows why",
    ]
