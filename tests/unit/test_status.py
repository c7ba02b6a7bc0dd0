"""The table of `status`: what a person reads at a glance, and that it fits a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from stack import Postgres, Redis, Stack, WebApp
from stack.commands import status as module
from stack.commands.status import status, watch
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState, EngineState, Health, Observed, StateWord
from stack.record import Record
from stack.report import duration
from stack.results.instances import MemoryUse
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.style import PLAIN, Style
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from stack.workflow.summary import overall
from stack.workload import PortId
from tests.unit.fake_engine import FakeEngine, World

STACK = Stack("shop", [WebApp("web", source="."), Postgres("db"), Redis("cache")])
INSTANCE = Instance("shop", "stackctl-shop-abc", STACK, Path("/"), Path("/"), {PortId("web"): 8000})
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
# Also at the end of a run of all tests it is 3 days and 4 hours.
LONG_AGO = datetime.now(UTC) - timedelta(days=3, hours=4, minutes=1)
UP = ComponentState(
    "1", "running", "healthy", 0, 0, False, LONG_AGO, "docker.io/library/postgres:18",
    process=7, memory_limit=512 * 2**20,
)  # fmt: skip
WEB = replace(UP, ports={PortId("web"): 8000}, image="stackctl-shop-abc-web")
ALL_UP = {"web": WEB, "db": UP, "cache": UP}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(dict(ALL_UP), memory={"web": 73 * 2**20, "db": 73 * 2**20})
    engine = FakeEngine(made, INSTANCE, like=ComposeEngine)
    choice = Choice("compose", "Docker answers")
    opened = Opened(INSTANCE, State(Path("/")), engine, Record("stackctl-shop-abc", {}), choice)
    monkeypatch.setattr(module, "look", lambda settings: opened)
    monkeypatch.setattr(module, "observe", lambda instance, engine: engine.observe())
    return made


def lines(style: Style = PLAIN) -> list[str]:
    return status(SETTINGS).shown(style).splitlines()


def test_each_component_has_a_line_with_all_that_matters(world: World) -> None:
    header, web, db, cache, *rest = lines()
    assert header.split() == ["COMPONENT", "STATE", "HEALTH", "SINCE", "RESTARTS", "PORTS", "MEMORY", "IMAGE"]
    assert web.split() == ["web", "running", "healthy", "3d", "4h", "0", "8000", "73/512", "MiB", "(built)"]
    assert re.split(r"\s{2,}", db)[4:] == ["0", "-", "73/512 MiB", "docker.io/library/postgres:18"]
    assert re.split(r"\s{2,}", cache)[6] == "-", "memory that can't be known is not guessed"
    assert rest == ["", "shop is up  http://localhost:8000", "engine: compose (Docker answers)"]


def test_a_narrow_terminal_cuts_the_image_at_its_front(world: World) -> None:
    narrow = lines(Style(width=80))
    assert max(map(len, narrow)) <= 80, narrow
    assert narrow[2].endswith("…ry/postgres:18")
    assert lines(Style(width=200)) == lines()


@pytest.mark.parametrize("width", [50, 60, 70])
def test_no_row_is_wider_than_the_narrowest_terminal(world: World, width: int) -> None:
    shown = lines(Style(width=width))
    assert max(map(len, shown)) <= width, shown
    assert shown[2].startswith("db ")


def test_colours_change_no_column(world: World) -> None:
    world.components["db"] = replace(UP, health="unhealthy")
    world.components["cache"] = replace(UP, state="exited", health="none", exit_code=3, process=None)
    painted = status(SETTINGS).shown(Style(colour=True))
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == status(SETTINGS).text
    for word in ("32mhealthy", "31munhealthy", "31mexited (3)", "31mdegraded"):
        assert f"\x1b[{word}\x1b[0m" in painted
    assert "\x1b" not in status(SETTINGS).text


def test_an_absent_and_an_undeclared_component_are_shown(world: World) -> None:
    world.components = {"web": WEB, "db": UP, "old": UP}
    shown = lines()
    assert shown[3].split() == ["cache", "absent", *["-"] * 6]
    assert shown[4].split()[:2] == ["old", "running"]
    assert "no longer declared: old; `stackctl up` removes it" in shown
    assert "shop is degraded  http://localhost:8000" in shown


def test_nothing_at_all_is_one_line(world: World) -> None:
    world.components = {}
    assert lines() == ["shop is not up; `stackctl up` starts it"]


def test_programs_read_bytes(world: World) -> None:
    data = status(SETTINGS).data
    assert data.memory == {
        "web": MemoryUse(used=73 * 2**20, limit=512 * 2**20),
        "db": MemoryUse(used=73 * 2**20, limit=512 * 2**20),
        "cache": MemoryUse(used=None, limit=512 * 2**20),
    }
    assert data.components["web"].port == 8000


def test_watching_shows_failures_too_and_ends_when_interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WATCH_INTERVAL", 0)
    shown: list[str] = []

    def fail(step: str) -> None:
        raise StackError("docker-daemon", "the Docker daemon does not answer")

    def show(text: str) -> None:
        shown.append(text)
        world.step = fail
        if len(shown) == 2:
            raise KeyboardInterrupt

    ended = watch(SETTINGS, lambda: PLAIN, show)
    assert (ended.exit_code, ended.text) == (130, "")

    assert shown[0].startswith("COMPONENT")
    assert shown[1] == "the Docker daemon does not answer (docker-daemon); trying again"


@pytest.mark.parametrize(
    ("components", "word"),
    [
        ({}, "absent"),
        ({"db": replace(UP, state="exited", health="none")}, "stopped"),
        (ALL_UP, "up"),
        (ALL_UP | {"web": replace(WEB, health="none")}, "up"),
        (ALL_UP | {"web": replace(WEB, health="starting")}, "degraded"),
        (ALL_UP | {"web": replace(WEB, health="unhealthy")}, "degraded"),
        ({"web": WEB, "db": UP}, "degraded"),
    ],
)
def test_the_state_of_the_whole(components: dict[str, ComponentState], word: str) -> None:
    assert overall(INSTANCE, Observed(components)) == word


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0, "0s"), (42.9, "42s"), (60, "1m 0s"), (200, "3m 20s"), (18120, "5h 2m"), (273600, "3d 4h")],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("health", "code"), [("healthy", 0), ("unhealthy", 1), ("unstable", 1), ("starting", 1)])
def test_the_exit_code_is_that_of_the_state_when_it_is_asked_for(world: World, health: Health, code: int) -> None:
    world.components["web"] = replace(WEB, health=health, restarts=4, health_output="500 from\nhttp://localhost:8000/")
    assert (status(SETTINGS).exit_code, status(SETTINGS, exit_code=True).exit_code) == (0, code)


@pytest.mark.parametrize(
    ("health", "line"),
    [
        ("unhealthy", "web: 500 from http://localhost:8000/"),
        ("unstable", "web: was started again 4 times, the last time a moment ago"),
    ],
)
def test_what_is_wrong_has_a_line(world: World, health: Health, line: str) -> None:
    world.components["web"] = replace(WEB, health=health, restarts=4, health_output="500 from\nhttp://localhost:8000/")
    assert line in lines()
    assert status(SETTINGS).data.components["web"].problem == line.removeprefix("web: ")
    assert status(SETTINGS).data.components["db"].problem is None


def test_what_is_about_to_be_started_again_is_restarting_and_not_stopped(world: World) -> None:
    down = replace(UP, state="exited", health="none")
    again = replace(UP, state="restarting", health="none", restarts=3, exit_code=1)
    assert overall(INSTANCE, Observed({"web": again, "db": down})) == "restarting"
    assert overall(INSTANCE, Observed({"web": down, "db": down})) == "stopped"


@pytest.mark.parametrize(
    ("state", "health", "word"),
    [
        ("running", "none", "running"),
        ("running", "unstable", "unstable"),
        ("exited", "none", "exited"),
        ("paused", "healthy", "paused"),
    ],
)
def test_a_component_has_one_word_for_state_and_health(state: EngineState, health: Health, word: StateWord) -> None:
    assert replace(UP, state=state, health=health).word == word


@pytest.mark.parametrize("state", get_args(EngineState))
def test_a_summary_begins_with_the_word(state: EngineState) -> None:
    component = replace(UP, state=state, health="none")
    assert component.summary.split(" ")[0] == component.word
