"""One-off commands: what they need, and what is left of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack import Bucket, Container, Job, Postgres, Redis, Stack, WebApp
from stack.applied import Applied
from stack.capabilities import Completed
from stack.commands import run as module
from stack.commands.run import run
from stack.engines import one_offs
from stack.engines.compose.arguments import Project
from stack.engines.compose.driver import ComposeEngine
from stack.engines.compose.render import render
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from stack.workflow.planning import read_sources
from tests.cli import ROOT, eventually
from tests.unit.fake_engine import FakeEngine, World

WEB = WebApp("web", source="app", uses=["db", "cache"])
STACK = Stack(
    "shop",
    [
        WEB,
        Job("migrate", of=WEB, command="migrate", before=[WEB]),
        Postgres("db"),
        Redis("cache"),
        Redis("queue", durable=True),
        Bucket("files", buckets=["uploads"]),
        Container("search", image="search:1", volumes={"index": "/index"}),
    ],
)
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")
ALL_UP = dict.fromkeys(STACK.names, UP)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    made = World(dict(ALL_UP), answer=Completed(3, "out", "err"))
    instance = Instance("shop", "stackctl-shop-abc", STACK, tmp_path, tmp_path / "state" / "shop", {})
    engine = FakeEngine(made, instance, like=ComposeEngine)
    opened = Opened(instance, State(instance.state), engine, Record("stackctl-shop-abc", {}), Choice("compose"))
    monkeypatch.setattr(module, "look", lambda settings: opened)
    return made


def ran(name: str, *warned: str) -> int:
    said: list[str] = []
    report = run(SETTINGS, name, ["true"], capture=True, warn=said.append)
    assert said == [*warned]
    return report.exit_code


def refused(name: str) -> StackError:
    with pytest.raises(StackError) as raised:
        ran(name)
    return raised.value


def test_the_exit_code_of_the_command_is_passed_on(world: World) -> None:
    steps: list[str] = []
    world.step = steps.append
    assert ran("web") == 3
    assert steps[-1] == "run true beside web"


@pytest.mark.parametrize("name", ["web", "migrate", "search"])
def test_the_component_itself_need_not_run(world: World, name: str) -> None:
    del world.components[name]
    assert ran(name) == 3


def test_a_job_that_comes_before_need_not_be_done(world: World) -> None:
    world.components["migrate"] = replace(UP, state="exited", exit_code=1, once=True)
    assert ran("web") == 3


def test_what_it_uses_has_to_run(world: World) -> None:
    world.components["db"] = replace(UP, state="exited", exit_code=1)
    del world.components["cache"]
    error = refused("web")
    assert error.code == "component-down"
    assert error.message == "web uses what does not run: db (exited (1)), cache (absent)"
    assert "`stackctl up`" in error.hint


def test_an_instance_that_is_not_up_is_told(world: World) -> None:
    world.components.clear()
    assert refused("web").code == "instance-down"


@pytest.mark.parametrize("name", ["db", "queue", "files"])
def test_a_second_server_does_not_get_the_data_of_the_first(world: World, name: str) -> None:
    error = refused(name)
    assert error.code == "usage"
    assert f"`stackctl exec {name} -- …`" in error.hint


def test_a_component_that_does_not_exist_is_told(world: World) -> None:
    assert refused("shop").code == "service-unknown"


def test_an_image_that_is_older_than_its_source_is_told(world: World, tmp_path: Path) -> None:
    state = State(tmp_path / "state" / "shop")
    opened: Opened = vars(module)["look"](SETTINGS)
    state.save_applied(Applied().built(read_sources(opened, Applied())))
    assert ran("web") == 3
    (tmp_path / "app" / "new.py").write_text("1")
    said: list[str] = []
    run(SETTINGS, "web", ["true"], True, said.append)
    assert "web: its source has changed since its image was built" in said[0]
    (tmp_path / "app" / "Dockerfile").unlink()
    assert ran("web") == 3, "what is wrong with the source is of no matter to the image"


def test_the_services_of_a_project_are_those_that_were_rendered(tmp_path: Path) -> None:
    instance = Instance("shop", "stackctl-shop-abc", STACK, tmp_path, tmp_path, {})
    file = tmp_path / "compose.yaml"
    file.write_text(
        render(replace(instance, ports={port.id: 8000 for port in STACK.workload("web", "container").ports}))
    )
    assert Project("shop", file).services() == {*STACK.names}


def test_a_command_is_left_once_its_stackctl_is_gone(tmp_path: Path) -> None:
    name = one_offs.new_name("web")
    assert one_offs.is_one_off(name)
    assert not one_offs.is_one_off("web")
    with one_offs.held(tmp_path, name):
        assert not one_offs.is_left(tmp_path, name)
    assert one_offs.is_left(tmp_path, name)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_command_is_left_once_its_stackctl_was_killed(tmp_path: Path) -> None:
    hold = (
        "import sys, pathlib\nfrom stack.engines.one_offs import held\n"
        "with held(pathlib.Path(sys.argv[1]), 'web.run-1'):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    words = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"held\n"
        assert not one_offs.is_left(tmp_path, "web.run-1")
        holding.kill()
        holding.wait()
        assert eventually(lambda: one_offs.is_left(tmp_path, "web.run-1"))
