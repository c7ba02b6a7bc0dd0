"""What a command that replaces data stops, and how it tells that this did not start again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from stack.engines import ENGINES
from stack.engines.process import Job
from stack.errors import ExitCode, StackError
from stack.observed import ComponentState
from stack.progress import Silence
from stack.settings import Settings
from stack.workflow import replacing
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from tests.unit.fake_engine import FakeEngine, World

UP = ComponentState("1", "running", "healthy", 0, 0, False, None, "")
FULL = StackError("disk-full", "the disk is full", "make room", "9 bytes are free")


class Stuck(FakeEngine):
    """An engine that starts nothing any more."""

    def start(self, names: Collection[str] = ()) -> Job:
        raise StackError("image-unavailable", "the image of web is gone", "pull it", "no such image")


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[FakeEngine]], tuple[Opened, World]]:
    def make(kind: type[FakeEngine]) -> tuple[Opened, World]:
        file = tmp_path / "stack.py"
        file.write_text("from stack import Redis, Stack\nstack = Stack('shop', [Redis('db'), Redis('web')])\n")
        world = World({"db": UP, "web": UP})
        monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: kind(world, instance))
        monkeypatch.setattr(replacing, "await_well", lambda *_: None)
        return look(Settings(file, None, tmp_path / "state", "embedded", tmp_path / "registry")), world

    return make


def quiesce(opened: Opened, error: BaseException) -> None:
    with replacing.quiesced(opened, Journal(opened.state), Silence()):
        raise error


def test_what_was_stopped_is_started_again_after_a_failure(
    opened: Callable[[type[FakeEngine]], tuple[Opened, World]],
) -> None:
    ready, world = opened(FakeEngine)
    with pytest.raises(StackError) as raised:
        quiesce(ready, FULL)
    assert raised.value is FULL
    assert {name: state.state for name, state in world.components.items()} == {"db": "running", "web": "running"}
    assert ready.state.applied().wanted == "up"


def test_both_failures_are_shown_if_it_does_not_start_again(
    opened: Callable[[type[FakeEngine]], tuple[Opened, World]],
) -> None:
    ready, _ = opened(Stuck)
    with pytest.raises(StackError) as raised:
        quiesce(ready, FULL)
    assert (raised.value.code, raised.value.exit_code) == ("disk-full", ExitCode.FAILED)
    assert raised.value.message == (
        "the disk is full; then what had been stopped did not start again: the image of web is gone"
    )
    assert (raised.value.hint, raised.value.output) == ("make room; pull it", "9 bytes are free\nno such image")


def test_an_interrupted_command_tells_what_did_not_start_again(
    opened: Callable[[type[FakeEngine]], tuple[Opened, World]],
) -> None:
    ready, _ = opened(Stuck)
    with pytest.raises(StackError, match="the image of web is gone"):
        quiesce(ready, KeyboardInterrupt())
