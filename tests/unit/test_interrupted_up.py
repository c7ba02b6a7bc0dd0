"""What `up` records in `applied.json`: each step in order, and enough for the next `up` if it is killed before any."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from stack.applied import Applied
from stack.components.postgres.schema import PostgresSchema
from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.instance import Instance
from stack.migrations import Migration
from stack.observed import Observed
from stack.plan import Plan
from stack.progress import Silence
from stack.settings import Settings
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow import converge as converge_module
from stack.workflow import ports, preparing
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.opening import change, look
from stack.workflow.planning import compute_plan
from tests.unit.fake_engine import FakeEngine, World

DECLARATION = """\
from stack import Job, Postgres, Stack, WebApp
db = Postgres("db", migrations="migrations", extensions=["pg_trgm"])
web = WebApp("web", source="app", command=["serve"], uses=[db])
stack = Stack("shop", [db, web, Job("fill", of=web, command=["fill"], before=[web])])
"""
STEPS = [
    {"fields", "data", "separated"},
    {"sources"},
    {"extensions"},
    {"migrations"},
    {"jobs"},
    {"wanted", "components", "secrets"},
]


class Killed(BaseException):
    """The process ended here, with no chance to do anything more."""


class BuildingEngine(FakeEngine):
    """An engine that builds an image of a source, and has it then."""

    def __init__(self, shop: Shop, instance: Instance) -> None:
        super().__init__(shop.world, instance, shop.like)
        self._shop = shop

    def build(self, names: Collection[str] = ()) -> Job:
        self._shop.step("build")
        self._shop.images.add("web")
        return FinishedJob()

    def observe_all(self) -> Observed:
        observed = super().observe_all()
        return replace(observed, images=dict.fromkeys(self._shop.images, ""))


class Shop:
    """A stack in a folder, on an engine in memory. Its process is killed before the step at `position`."""

    def __init__(self, folder: Path, like: type[Engine]) -> None:
        self.like = like
        self.world = World(step=self.step)
        self.images = set[str]()
        self.position: int | None = None
        self.steps: list[str] = []
        self.saved: list[Applied] = []
        (folder / "app").mkdir(parents=True)
        (folder / "migrations").mkdir()
        self.source = folder / "app" / "Dockerfile"
        self.source.write_text("FROM scratch\n")
        os.utime(self.source, (1, 1))
        (folder / "migrations" / "1_notes.sql").write_text("SELECT 1")
        file = folder / "stack.py"
        file.write_text(DECLARATION)
        self.settings = Settings(file, None, folder / "state", like.name, folder / "registry")

    @property
    def applied(self) -> Applied:
        return State(self.settings.state_root / "shop").applied()

    def step(self, name: str) -> None:
        if len(self.steps) == self.position:
            raise Killed(name)
        self.steps.append(name)

    def up(self, position: int | None = None) -> None:
        self.position, self.steps, self.saved = position, [], []
        with change(self.settings, Silence()) as opened:
            converge(opened, Journal(opened.state), Silence(), UpOptions())

    def plan(self) -> Plan:
        self.position = None
        return compute_plan(look(self.settings), self.applied).plan


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shop]:
    """Make a stack in a folder of this name. Each call of its engine and each write of a file is a step."""
    current: list[Shop] = []
    write, save = State.write, State.save_applied

    def step_and_write(self: State, *arguments: Any, **named: Any) -> Path:
        current[-1].step(f"write {arguments[0]}")
        return write(self, *arguments, **named)

    def save_and_note(self: State, applied: Applied) -> None:
        save(self, applied)
        current[-1].saved.append(self.applied())

    def make(name: str, like: type[Engine] = ComposeEngine) -> Shop:
        current.append(Shop(tmp_path / name, like))
        return current[-1]

    monkeypatch.setattr(State, "write", step_and_write)
    monkeypatch.setattr(State, "save_applied", save_and_note)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "password")
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    monkeypatch.setattr(converge_module, "await_ready", found_ready)
    monkeypatch.setattr(preparing, "await_verified", lambda *_: None)
    monkeypatch.setattr(PostgresSchema, "separate", lambda *_: None)
    monkeypatch.setattr(PostgresSchema, "make_extensions", lambda *_: None)
    monkeypatch.setattr(PostgresSchema, "migrate", migrate)
    for name in ("compose", "embedded"):
        monkeypatch.setitem(ENGINES, name, lambda instance, **_: BuildingEngine(current[-1], instance))
    return make


def found_ready(_: object, engine: FakeEngine, *__: object, **___: object) -> Verdict:
    return Verdict(0, engine.observe())


def migrate(
    _: object, __: object, migrations: Sequence[Migration], *___: object
) -> tuple[dict[str, str], Sequence[str]]:
    return {each.name: each.checksum for each in migrations}, ()


def changed(before: Applied, after: Applied) -> set[str]:
    names = [each.name for each in fields(Applied)]
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_up_begins_databases_during_a_build_and_saves_each_step_once(make: Callable[..., Shop]) -> None:
    shop = make("shop")
    shop.up()
    values = [Applied(components=[], initialising=[]), *shop.saved]
    assert [changed(before, after) for before, after in itertools.pairwise(values)] == STEPS
    writes = [step for step in shop.steps if step == "write applied.json" or step.startswith(("build", "apply"))]
    assert writes == [
        "write applied.json", "apply db", "build", "write applied.json", "write applied.json", "write applied.json",
        "apply fill", "write applied.json", "apply db", "apply web", "write applied.json",
    ]  # fmt: skip


def test_an_up_that_changes_nothing_records_nothing(make: Callable[..., Shop]) -> None:
    shop = make("shop")
    shop.up()
    assert not shop.plan().something
    shop.up()
    assert shop.saved == []


def test_a_killed_up_is_finished_by_the_next_one(make: Callable[..., Shop]) -> None:
    whole = make("whole")
    whole.up()
    steps, expected = whole.steps, whole.applied
    for position, name in enumerate(steps):
        shop = make(str(position))
        with pytest.raises(Killed):
            shop.up(position)
        assert shop.applied == (shop.saved[-1] if shop.saved else Applied()), f"killed before {name}"
        drift = [action.target for action in shop.plan().actions if action.drift]
        assert drift == [], f"what was made before {name} is taken for done by hand"
        shop.up()
        assert shop.applied == expected, f"killed before {name}"
        assert not shop.plan().something, f"killed before {name}"


def test_a_failed_up_records_what_it_made(make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Verdict:
        raise StackError("not-ready", "web is not ready", "look at its logs")

    shop = make("shop")
    monkeypatch.setattr(converge_module, "await_ready", fail)
    with pytest.raises(StackError, match="web is not ready"):
        shop.up()
    applied = shop.applied
    assert (applied.wanted, applied.components) == ("up", ["db", "fill", "web"])
    assert set(applied.sources) == {"fill", "web"}
    assert set(applied.secrets) == {"db_password"}


def test_a_source_edited_after_a_killed_up_is_noticed(make: Callable[..., Shop]) -> None:
    whole = make("whole", EmbeddedEngine)
    whole.up()
    last_write = max(number for number, step in enumerate(whole.steps) if step == "write applied.json")
    shop = make("shop", EmbeddedEngine)
    with pytest.raises(Killed):
        shop.up(last_write)
    shop.up()
    shop.source.write_text("FROM alpine\n")
    assert [str(each) for each in shop.plan().changes] == [
        "web: restart, because its source changed: Dockerfile",
        "fill: run, because its source changed: Dockerfile",
    ]
