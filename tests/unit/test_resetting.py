"""What `reset` saves is the only copy then: until it was loaded once, no older one goes for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from stack.commands.reset import reset
from stack.commands.up import up
from stack.engines import ENGINES
from stack.errors import StackError
from stack.progress import Silence
from stack.settings import Settings
from stack.snapshots.store import KEPT, SnapshotStore
from stack.verdict.watch import Verdict
from stack.workflow import converge, keeping
from stack.workflow.keeping import save
from stack.workflow.opening import look
from stack.workload import VolumeId
from tests.unit.fake_engine import FakeEngine, FakeVolumes, World

FILE = """\
from stack import Container, Stack
notes = Container("notes", image="i", process=["notes"], volumes={"kept": "/kept"})
stack = Stack("shop", [notes])
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An instance with data, of which there are as many automatic snapshots as are kept."""
    file, world = tmp_path / "shop.py", World()
    file.write_text(FILE)
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(world, instance))
    for module in (converge, keeping):
        monkeypatch.setattr(module, "await_ready", lambda _, engine, *__, **___: Verdict(0.0, engine.observe()))
    settings = Settings(file, None, tmp_path / "state", "embedded", tmp_path / "registry")
    up(settings, Silence())
    for _ in range(KEPT):
        save(look(settings), saved(settings), None, "restore", Silence())
    return settings


def saved(settings: Settings) -> SnapshotStore:
    return SnapshotStore(settings.state_root, "shop")


def names(settings: Settings) -> set[str]:
    return {each.name for each in saved(settings).items()}


def test_a_reset_that_is_not_proven_costs_no_older_snapshot(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(_: FakeVolumes, volume: VolumeId) -> Iterator[IO[bytes]]:
        raise StackError("disk-full", f"{volume}: the disk is full", "make room")
        yield

    monkeypatch.setattr(FakeVolumes, "write", full)
    before = names(settings)
    with pytest.raises(StackError) as raised:
        reset(settings, Silence(), lambda _: True)
    assert raised.value.code == "disk-full"
    assert "nothing was deleted" in raised.value.hint
    assert names(settings) == before
    assert len(before) == KEPT


def test_the_oldest_goes_once_the_new_one_is_proven(settings: Settings) -> None:
    before = names(settings)
    reset(settings, Silence(), lambda _: True)
    after = names(settings)
    assert len(after) == KEPT
    assert len(before - after) == 1
    assert {name.startswith("before-reset-") for name in after - before} == {True}
