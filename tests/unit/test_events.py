"""`events`: the state first, then each change once, and an end when it is asked for or nobody reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stack import Postgres, Stack
from stack.commands import events as module
from stack.commands.events import Until, events
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.record import Record
from stack.results.instances import ExternalStatus
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from tests.schemas import first_problem
from tests.unit.fake_engine import FakeEngine, World

STACK = Stack("shop", [Postgres("db")])
INSTANCE = Instance("shop", "shop", STACK, Path("/"), Path("/"), {})
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")
STARTING = replace(UP, health="starting")
EXITED = replace(UP, state="exited", health="none", exit_code=3)


@dataclass
class FakeReader:
    patience: int = 100
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        return len(self.lines) >= self.patience

    def write(self, line: str) -> None:
        event = json.loads(line)
        assert first_problem("events", event) == ""
        self.lines.append(event)


Follow = Callable[..., tuple[int, list[dict[str, Any]], World]]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Follow an engine that shows these scenes; after the last one Ctrl-C is pressed."""
    monkeypatch.setattr(module, "_INTERVAL", 0)

    def run(
        *scenes: ComponentState | None, until: Until | None = None, patience: int = 100
    ) -> tuple[int, list[dict[str, Any]], World]:
        def interrupt(step: str) -> None:
            if world.shown == len(scenes):
                raise KeyboardInterrupt

        world = World(scenes=[Observed({"db": scene} if scene else {}) for scene in scenes], step=interrupt)
        opened = Opened(
            INSTANCE, State(Path("/")), FakeEngine(world, INSTANCE), Record("shop", {}), Choice("compose", "")
        )
        monkeypatch.setattr(module, "look", lambda settings: opened)
        monkeypatch.setattr(module, "observe", lambda instance, engine: engine.observe())
        reader = FakeReader(patience)
        return events(SETTINGS, reader, until).exit_code, reader.lines, world

    return run


def told(lines: list[dict[str, Any]]) -> list[tuple[str | None, str]]:
    return [(line["from"], line["to"]) for line in lines]


def test_the_state_comes_first_and_then_each_change_once(follow: Follow) -> None:
    exit_code, lines, _ = follow(None, None, STARTING, STARTING, UP, UP, EXITED, None)
    assert told(lines) == [
        (None, "absent"),
        ("absent", "starting"),
        ("starting", "healthy"),
        ("healthy", "exited"),
        ("exited", "absent"),
    ]
    assert exit_code == 130


def test_a_line_says_when_which_and_how_it_ended(follow: Follow) -> None:
    _, lines, _ = follow(UP, replace(EXITED, restarts=2))
    assert [set(line) for line in lines] == [{"time", "component", "from", "to", "restarts", "exit_code"}] * 2
    assert [(line["component"], line["restarts"], line["exit_code"]) for line in lines] == [
        ("db", 0, None),
        ("db", 2, 3),
    ]
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo is not None


def test_a_restart_between_two_looks_is_told(follow: Follow) -> None:
    _, lines, _ = follow(UP, replace(UP, restarts=1), replace(UP, id="2"))
    assert told(lines) == [(None, "healthy"), ("healthy", "healthy"), ("healthy", "healthy")]
    assert [line["restarts"] for line in lines] == [0, 1, 0]


@pytest.mark.parametrize("last", [None, EXITED])
def test_until_down_ends_when_nothing_runs(follow: Follow, last: ComponentState | None) -> None:
    exit_code, lines, _ = follow(UP, UP, last, UP, until="down")
    assert (exit_code, len(lines)) == (0, 2)


def test_until_ready_ends_when_the_verdict_is_so(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])

    def judged(*arguments: object) -> None:
        if not next(answers):
            raise StackError("not-ready", "no answer")

    monkeypatch.setattr(module, "await_ready", judged)
    exit_code, lines, world = follow(STARTING, UP, UP, UP, UP, until="ready")
    assert (exit_code, told(lines)) == (0, [(None, "starting"), ("starting", "healthy")])
    assert world.shown == 3, "it is asked again as long as the answer is no"


def test_it_ends_quietly_without_a_reader(follow: Follow) -> None:
    exit_code, lines, world = follow(UP, UP, UP, patience=1)
    assert (exit_code, len(lines), world.shown) == (0, 1, 1)


def test_servers_that_others_run_are_told_and_waited_for(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = iter(["refused", "refused", None])
    monkeypatch.setattr(
        module, "external_statuses", lambda opened: {"mail": ExternalStatus("Redis", "h:1", next(problems))}
    )
    monkeypatch.setattr(module, "await_ready", lambda *arguments: None)
    exit_code, lines, _ = follow(STARTING, STARTING, UP, UP, UP, until="ready")
    assert exit_code == 0
    assert [(line["component"], line["from"], line["to"]) for line in lines] == [
        ("db", None, "starting"),
        ("mail", None, "unhealthy"),
        ("db", "starting", "healthy"),
        ("mail", "unhealthy", "healthy"),
    ]
