"""Thirty components with long names: what `up`, `status` and `plan` show of them at 80 columns, and through a pipe."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import Container, Stack, Worker
from stack.cli.progress import Lines, Live, Region
from stack.commands import status as status_module
from stack.commands.plan import plan
from stack.commands.status import status
from stack.commands.up import up
from stack.engines import ENGINES
from stack.engines.compose.driver import ComposeEngine
from stack.settings import Settings
from stack.style import Style, width_of
from stack.verdict.watch import Verdict
from stack.workflow import converge
from stack.workflow.building import owners, steps
from tests.terminal import terminal
from tests.unit.fake_engine import FakeEngine, World
from tests.unit.test_status import UP
from tests.unit.test_terminal import Watched, words

NARROW = Style(width=80)
FILE = """\
from stack import Container, Stack
NAMES = "storefront", "customer-accounts-billing", "inventory-replication-consumer", "search-indexer-catalogue"
apps = [
    Container(
        f"{NAMES[number % 4][:28]}-{number:02}", image="registry.example.com/team/application:1.2.3", process="run",
        ports={"http": 80}, publish={"http": 8000 + number} if number < 10 else {}, volumes={"data": "/data"},
    )
    for number in range(30)
]
stack = Stack("shop", apps)
"""
LONGEST = "inventory-replication-consum-02"


class Shop:
    """An instance of that stack on an engine in memory, whose components come up one after the other."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.file = folder / "shop.py"
        self.file.write_text(FILE)
        self.settings = Settings(self.file, None, folder / "state", "compose", folder / "registry")

    def up(self, progress: Any) -> list[str]:
        lines = up(self.settings, progress).shown(NARROW).splitlines()
        progress.close()
        return lines


def come_up(instance: Any, engine: FakeEngine, job: Any, before: Any, timeout: Any, progress: Any, **_: Any) -> Verdict:
    there = [*engine.observe().components]
    for healthy in range(len(there) + 1):
        progress.states({name: "healthy" if at < healthy else "starting" for at, name in enumerate(there)})
    return Verdict(0.0, engine.observe())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path)
    monkeypatch.setitem(ENGINES, "compose", lambda instance, **_: FakeEngine(made.world, instance, like=ComposeEngine))
    monkeypatch.setattr(converge, "await_ready", come_up)
    monkeypatch.setattr(converge, "check_ports", lambda *_: None)
    monkeypatch.setattr(status_module, "observe", lambda instance, engine: engine.observe())
    return made


def widest(lines: list[str]) -> int:
    return max(map(width_of, lines))


def test_up_keeps_to_the_screen_and_ends_with_a_sum(shop: Shop) -> None:
    stream = Watched()
    said = shop.up(Live(stream, lambda: NARROW))
    shown = words(stream.screen)
    assert shown[:2] == [
        "+ storefront-00: create, because it is not there yet",
        "+ customer-accounts-billing-01: create, because it is not there yet",
    ]
    assert shown[-1] == "✔ 30 components: 30 healthy"
    assert len(shown) == 30 + 1 + 1
    assert stream.screen.widest <= 80
    assert widest(said) <= 80


def test_a_screen_that_has_fewer_lines_shows_what_is_not_well_yet() -> None:
    stream = Watched()
    live = Live(stream, lambda: NARROW)
    states = dict.fromkeys((f"app-{number:02}" for number in range(30)), "starting")
    live.states(states | {"app-00": "healthy", "app-01": "running", "app-29": "exited (1)"})
    shown = words(stream.screen)
    assert len(shown) == 23, "a terminal has 24 lines, and the cursor is on the last one"
    assert shown[0] == "✘ app-29  exited (1)"
    assert [line.split()[1] for line in shown[1:-1]] == [f"app-{number:02}" for number in range(2, 23)]
    assert shown[-1].endswith(" 30 components: 27 starting, 1 healthy, 1 running, 1 exited")
    live.states(dict.fromkeys(states, "healthy") | {"app-29": "exited (1)"})
    assert words(stream.screen) == ["✘ app-29  exited (1)", "✘ 30 components: 29 healthy, 1 exited"]
    live.close()


def test_a_screen_that_has_the_lines_shows_all() -> None:
    with terminal(80) as (_, follower), os.fdopen(follower, "w", encoding="utf-8") as screen:
        assert Region(screen).rows == 40
        live = Live(screen, lambda: NARROW)
        live._states = dict.fromkeys(map(str, range(30)), "starting")
        assert len(live._lines()) == 30


def test_a_pipe_gets_a_plain_line_for_each_change(shop: Shop) -> None:
    stream = io.StringIO()
    shop.up(Lines(stream))
    seen = [re.sub(r"^ +\d+\.\d s  ", "", line) for line in stream.getvalue().splitlines()]
    assert len(seen) == 30 + 30 + 30
    assert seen[-30:-28] == ["storefront-00: healthy", "customer-accounts-billing-01: healthy"]
    assert "\x1b" not in stream.getvalue()


def test_a_component_that_is_built_is_not_removed_before_it_is_there() -> None:
    stream = Watched()
    live = Live(stream, lambda: NARROW)
    live.states({"web": "building [1/2] FROM python"})
    live.states({"db": "starting"})
    assert [line[2:] for line in words(stream.screen)] == ["web  building [1/2] FROM python", "db   starting"]
    live.close()


def test_a_plan_fits_and_what_stays_is_one_list(shop: Shop) -> None:
    shop.up(Lines(io.StringIO()))
    shop.file.write_text(FILE.replace("range(30)", "range(31)"))
    lines = plan(shop.settings).shown(NARROW).splitlines()
    assert widest(lines) <= 80
    assert lines[0] == "+ inventory-replication-consum-30: create, because it is not there yet"
    assert lines[1] == "= keep: storefront-00, customer-accounts-billing-01,"
    assert not [line for line in lines if line.startswith("= storefront")]


@pytest.mark.parametrize(("width", "heads"), [(80, "MEMORY"), (72, "PORTS"), (None, "IMAGE"), (140, "IMAGE")])
def test_status_names_each_component_whole(shop: Shop, width: int | None, heads: str) -> None:
    shop.up(Lines(io.StringIO()))
    components = shop.world.components
    shop.world.components = {name: replace(UP, declaration=each.declaration) for name, each in components.items()}
    shop.world.memory = dict.fromkeys(shop.world.components, 73 * 2**20)
    lines = status(shop.settings).shown(Style(width=width)).splitlines()
    assert lines[3].startswith(f"{LONGEST}  running  healthy  3d 4h")
    assert lines[0].split()[-1] == heads
    assert lines[31] == ""
    if width == 80:
        assert widest(lines) <= 80
        assert lines[32:35] == [
            "shop is up",
            "  storefront-00.http: http://localhost:8000",
            "  customer-accounts-billing-01.http: http://localhost:8001",
        ]


def test_a_component_that_was_restarted_keeps_the_column_of_restarts(shop: Shop) -> None:
    shop.up(Lines(io.StringIO()))
    components = shop.world.components
    shop.world.components = {**components, LONGEST: replace(components[LONGEST], restarts=3)}
    assert "RESTARTS" in status(shop.settings).shown(NARROW).splitlines()[0]


APP = Container("web", source="app")
BUILT = """\
#1 [internal] load local bake definitions
#7 [web build 1/2] FROM python
#8 [other 1/3] FROM node
#9 [web build 2/2] RUN make
#10 [web] exporting to image
#11 [gone 1/3] FROM x
"""


def test_an_image_that_several_run_is_built_once() -> None:
    stack = Stack("shop", [APP, Worker("a", of=APP, command="work"), Worker("b", of=APP, command="beat")])
    assert owners(stack, ["web", "a", "b"]) == ["web"]


def test_each_image_shows_its_own_step() -> None:
    assert steps(BUILT, ["web", "other", "third"]) == {"web": "[build 2/2] RUN make", "other": "[1/3] FROM node"}


def test_the_steps_of_a_single_image_have_no_name_in_front() -> None:
    assert steps("#5 [web 1/2] FROM python\n#6 [stage-1 1/1] RUN echo 2\n", ["web"]) == {
        "web": "[stage-1 1/1] RUN echo 2"
    }
    assert steps("", ["web"]) == {}
