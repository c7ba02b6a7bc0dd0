"""`stop`, `down` and `reset` of an instance whose state folder can't be written: they need not write to stop things."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.commands.down import down
from stack.commands.reset import reset
from stack.commands.stop import stop
from stack.engines import ENGINES
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.observed import ComponentState
from stack.progress import Progress, Silence
from stack.record import Record
from stack.report import Report
from stack.results.lifecycle import DownResult, StopResult
from stack.settings import Settings
from stack.state import State
from stack.workload import PortId
from tests.unit.fake_engine import FakeEngine, World


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run commands on an engine with one app that runs and no data; the list has each step that it takes."""
    steps: list[str] = []
    up = ComponentState("1", "running", "healthy", 0, 0, False, None, "", {PortId("web"): 8000})
    world = World({"web": up}, step=steps.append)
    make = functools.partial(FakeEngine, world, like=ComposeEngine)
    monkeypatch.setitem(ENGINES, "compose", lambda instance, **_: make(instance))
    return steps


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "shop.py"
    file.write_text("from stack import Stack, WebApp\nstack = Stack('shop', [WebApp('web', source='.')])\n")
    state = State(tmp_path / "state" / "shop")
    with state.locked():
        state.remember(Record("stackctl-shop-123456", {}, "compose"))
    return Settings(file, None, tmp_path / "state", registry=tmp_path / "registry")


def full(path: Path, *_: object, **__: object) -> Path:
    raise StackError("state-unusable", f"{path}: No space left on device", "make room")


@pytest.mark.parametrize(("command", "step"), [(stop, "stop web"), (down, "down")])
def test_a_full_disk_stops_no_stop(
    done: list[str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[[Settings, Progress], Report[StopResult | DownResult]],
    step: str,
) -> None:
    monkeypatch.setattr(State, "write", full)
    report = command(settings, Silence())
    assert step in done
    assert "can't be remembered" in report.text
    assert "No space left on device" in report.data.notices[0]


@pytest.mark.parametrize("command", [stop, down])
def test_without_a_problem_there_is_no_note(
    done: list[str], settings: Settings, command: Callable[[Settings, Progress], Report[StopResult | DownResult]]
) -> None:
    report = command(settings, Silence())
    assert (report.data.notices, "note" in report.text) == ((), False)


def test_reset_deletes_all_but_a_folder_that_cannot_be_written(
    done: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(state: State) -> None:
        raise StackError("state-unusable", f"{state.folder}: Read-only file system", "check its rights")

    monkeypatch.setattr(State, "write", full)
    monkeypatch.setattr(State, "delete", read_only)
    with pytest.raises(StackError, match="Read-only file system") as raised:
        reset(settings, Silence(), lambda _: True, saves=False)
    assert "destroy" in done
    assert f"delete {settings.state_root / 'shop'} when it can be written" in raised.value.hint
