"""`wait`: patient with what may still come, and done as soon as nothing can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stack import Postgres, Stack
from stack.commands import wait as module
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.progress import Silence
from stack.record import Record
from stack.report import Report
from stack.results.instances import ExternalStatus
from stack.results.lifecycle import WaitResult
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from tests.unit.clocks import FakeClock
from tests.unit.fake_engine import FakeEngine, World

INSTANCE = Instance("shop", "shop", Stack("shop", [Postgres("db")]), Path("/"), Path("/"), {})
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")
EXITED = replace(UP, state="exited", health="none", exit_code=1)


Wait = Callable[..., tuple[Report[WaitResult], dict[str, Any]]]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Wait for an engine that shows these scenes; gives the report, and what the verdict was asked with."""

    def run(*scenes: ComponentState | None, timeout: float = 10) -> tuple[Report[WaitResult], dict[str, Any]]:
        asked: dict[str, Any] = {}

        def judged(instance: object, engine: object, job: object, before: Observed, left: float, *_: object) -> Verdict:
            asked.update(before=before, left=left)
            return Verdict(0.1, before)

        world = World(scenes=[Observed({"db": scene} if scene else {}) for scene in scenes])
        engine = FakeEngine(world, INSTANCE)
        opened = Opened(INSTANCE, State(Path("/")), engine, Record("shop", {}), Choice("compose", ""))
        monkeypatch.setattr(module, "look", lambda settings: opened)
        monkeypatch.setattr(module, "observe", lambda instance, engine: engine.observe())
        monkeypatch.setattr(module, "await_ready", judged)
        return module.wait(Settings(PLAYGROUND, None, Path("/")), Silence(), timeout, FakeClock()), asked

    return run


def test_it_waits_for_what_is_not_there_yet_and_then_for_the_verdict(wait: Wait) -> None:
    report, asked = wait(None, None, replace(UP, health="starting"), UP)
    assert report.text == "shop is ready (1.5 s)"
    assert asked == {"before": Observed({"db": UP}), "left": 8.5}


@pytest.mark.parametrize(
    "first", [EXITED, replace(UP, health="unhealthy"), replace(EXITED, restarts=9), replace(UP, restarts=9)]
)
def test_a_broken_component_may_be_repaired_meanwhile(wait: Wait, first: ComponentState) -> None:
    assert wait(first, first, UP)[0].exit_code == 0


def test_it_waits_for_a_server_that_others_run(wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = iter(["refused", None])
    monkeypatch.setattr(
        module, "external_statuses", lambda opened: {"mail": ExternalStatus("Redis", "h:1", next(problems))}
    )
    report, _ = wait(UP, UP, UP)
    assert report.text == "shop is ready (0.5 s)"
    assert report.data.externals["mail"].problem is None
    monkeypatch.setattr(module, "external_statuses", lambda opened: {"mail": ExternalStatus("Redis", "h:1", "refused")})
    with pytest.raises(StackError, match="not ready after 3 s: db healthy; mail: refused"):
        wait(UP, timeout=3)


def test_what_ends_again_and_again_never_gets_ready(wait: Wait) -> None:
    scenes = [replace(EXITED, state="restarting", restarts=count) for count in range(9)]
    with pytest.raises(StackError) as raised:
        wait(*scenes, timeout=1000)
    assert raised.value.code == "crash-loop"
    assert "stackctl logs db" in raised.value.hint


def test_it_ends_with_the_time_and_says_how_all_is(wait: Wait) -> None:
    with pytest.raises(StackError) as raised:
        wait(None, EXITED, timeout=3)
    assert (raised.value.code, raised.value.message) == ("not-ready", "not ready after 3 s: db exited (1)")
    assert "`stackctl logs db`" in raised.value.hint
    assert raised.value.hint
