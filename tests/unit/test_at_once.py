"""Two commands that change one instance at once end as one after the other would, wherever one of them is stopped.

Each pair runs on an engine in memory: the first command stops before one of its steps, until the second has ended or
waits for the lock. With STACKCTL_STEPS=all it does so before each of its steps.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import Postgres, Stack, WebApp
from stack import state as state_module
from stack.commands import restore, rotate, undo, up, upgrade
from stack.commands import start as start_module
from stack.commands.down import down
from stack.commands.load import load as load_command
from stack.commands.load import load_in_place
from stack.commands.reset import reset
from stack.commands.snapshot import delete_snapshot, save_snapshot
from stack.commands.start import start
from stack.commands.stop import stop
from stack.components.postgres import loading, login, password, saving
from stack.components.postgres.dumps import PostgresDumps
from stack.components.postgres.saved import SavedComponent, SavedDatabase, Table
from stack.engines import ENGINES
from stack.errors import StackError
from stack.progress import Progress, Silence
from stack.registry import Registry
from stack.settings import Settings
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow import converge, opening, ports, replacing, rotation
from stack.workload import VolumeId
from tests.unit.fake_engine import FakeEngine, Store, World

STEPS = os.environ.get("STACKCTL_STEPS")
SAVED, ADDED = 5, 100

Command = Callable[[Settings, Progress], object]

COMMANDS: dict[str, Command] = {
    "up": lambda settings, progress: up.up(settings, progress),
    "stop": stop,
    "start": lambda settings, progress: start(settings, progress),
    "down": down,
    "reset": lambda settings, progress: reset(settings, progress, agree),
    "rotate": lambda settings, progress: rotate.rotate(settings, "db", progress),
    "restore": lambda settings, progress: restore.restore(settings, progress, agree, "early"),
    "undo": lambda settings, progress: undo.undo(settings, progress, agree),
    "load": lambda settings, progress: load_command(settings, progress, dump_of(settings), io.BytesIO(), None),
    "load --replace": lambda settings, progress: load_in_place(
        settings, progress, agree, dump_of(settings), io.BytesIO(), None
    ),
    "upgrade": lambda settings, progress: upgrade.upgrade(settings, "db", 18, progress),
    "snapshot save": lambda settings, progress: save_snapshot(settings, progress, "late", None),
    "snapshot delete": lambda settings, progress: delete_snapshot(settings, progress, "early", agree),
}
# In which the first command begins. "old": an older version made the data than the one that is declared now.
WORLDS = ("up", "stopped", "old", "deleted", "new")
# Each second command beside one that starts, one that replaces data, one that deletes it, and one that moves it.
QUICK = (("up", "up"), ("up", "reset"))
CASES = [
    *QUICK,
    *(pytest.param(*case, marks=pytest.mark.long) for case in itertools.product(WORLDS, COMMANDS) if case not in QUICK),
]


def agree(_: str) -> bool:
    return True


def dump_of(settings: Settings) -> Path:
    return settings.file.with_name("dump.sql")


@dataclass(frozen=True)
class Place:
    """An instance in a folder: its settings, and what there is of it on the engine in memory."""

    settings: Settings
    world: World

    @property
    def state(self) -> State:
        return State(self.settings.state_root / "shop")

    def run(self, name: str, progress: Progress | None = None) -> str:
        """Run a command; its error code, or nothing."""
        try:
            COMMANDS[name](self.settings, progress or Silence())
        except StackError as error:
            return error.code
        return ""

    def look(self) -> Mapping[str, object]:
        """What matters of it. Raises `AssertionError` for what must never be."""
        world, record = self.world, self.state.record()
        stores = {name: store.rows for name, store in world.stores.items()}
        named: set[str] = set()
        if self.state.exists():
            opened = opening.look(self.settings)
            named = {*opened.engine.volumes.declared().values(), *replacing.kept_stores(opened, self.state.applied())}
        else:
            assert not self.state.folder.exists(), "a command leaves the folder of an instance that does not exist"
        assert named.issuperset(stores), "data is left that no record names"
        listed = [entry.instance for entry in Registry(self.settings.registry).entries()]
        assert listed == (["shop"] if self.state.exists() else []), "the list does not fit what there is"
        return {
            "stores": stores,
            "generations": record.generations if record else None,
            "wanted": self.state.applied().wanted,
            "components": {name: state.state for name, state in world.components.items()},
        }


class Calls:
    """Counts the steps of a thread, and calls something before one of them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._thread: threading.Thread | None = None
        self._position: int | None = None

    @contextlib.contextmanager
    def count(self, position: int | None = None, action: Callable[[], None] | None = None) -> Iterator[None]:
        self.names, self._position, self._action = [], position, action
        self._thread = threading.current_thread()
        try:
            yield
        finally:
            self._thread = None

    def __call__(self, name: str) -> None:
        if threading.current_thread() is self._thread:
            self.names.append(name)
            if len(self.names) - 1 == self._position and self._action is not None:
                self._action()


class Waiting(Silence):
    """Progress that sets an event when its command waits for the lock."""

    def __init__(self, waits: threading.Event) -> None:
        self._waits = waits

    def step(self, text: str) -> None:
        if text.startswith("waiting for "):
            self._waits.set()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Commands on the engine in memory; each look at it and each write of a file is a step."""
    calls = Calls()
    monkeypatch.setattr(state_module, "_LOCK_NOTICE", 0)
    monkeypatch.setattr(state_module, "_LOCK_INTERVAL", 0.001)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    # What listens on this machine is no part of it.
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    for module, name in (
        (converge, "await_ready"), (start_module, "await_ready"), (rotation, "await_ready"),
        (replacing, "await_well"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, judge)
    for module in (password, login):
        monkeypatch.setattr(module, "password_statement", lambda _, password: f"PASSWORD {password}")
    monkeypatch.setattr(saving, "save_component", save_component)
    monkeypatch.setattr(loading, "load_component", load_component)
    monkeypatch.setattr(PostgresDumps, "load", fill)
    for owner, name in ((State, "write"), (State, "delete"), (State, "settle_secret"), (Registry, "enter")):
        monkeypatch.setattr(owner, name, stepping(calls, name, getattr(owner, name)))
    return calls


def stepping(calls: Calls, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def step(*arguments: Any, **named: Any) -> Any:
        calls(name)
        return function(*arguments, **named)

    return step


def judge(*arguments: Any, **_: object) -> Verdict:
    engine = next(each for each in arguments if isinstance(each, FakeEngine))
    if not engine.password_fits():
        raise StackError("password-mismatch", "the database refuses the password")
    return Verdict(0, engine.observe())


def save_component(server: Any, store: str, archive: Any, *_: object) -> SavedComponent:
    parts = []
    for name in ("db/roles.sql", "db/1.dump.zst"):
        with archive.member(name) as sink:
            sink.write(b"\n")
        parts.append(sink.member)
    table = Table("public.notes", server.session.store.rows, "0" * 32)
    database = SavedDatabase("app", "UTF8", 1, parts[1], (table,))
    return SavedComponent(f"{server.session.store.version}.0", "app", "app", store, parts[0], (database,))


def load_component(server: Any, archive: Any, saved: SavedComponent, closing: str, *_: object) -> None:
    server.session.store.rows = saved.rows
    server.session.set_password(closing)


def fill(_: object, session: Any, *__: object) -> int:
    session.run(["insert"])
    session.store.rows += ADDED
    return 1


def declared(version: int) -> Stack:
    web = WebApp("web", source=".", port=8000, command=["serve"], uses=["db"])
    return Stack("shop", [Postgres("db", version=version), web])


class Ground:
    """Instances in a folder that can be put back to how they were."""

    def __init__(self, folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "here"
        self._original = folder / "original"
        self._folder.mkdir()
        self.place = Place(
            Settings(self._folder / "stack.py", None, self._folder / "state", "embedded", self._folder / "registry"),
            World(step=calls),
        )
        dump_of(self.place.settings).write_text("SELECT 1;\n", encoding="utf-8")
        monkeypatch.setattr(opening, "load_stack", stepping(calls, "load the stack", lambda *_: self._stack))
        monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(self.place.world, instance))

    def prepare(self, world: str) -> None:
        """Make the instance, with a snapshot `early`, and what `undo` brings back."""
        self._stack = declared(17 if world == "old" else 18)
        if world != "new":
            self._set_up()
        self._stack = declared(18)
        if world in ("stopped", "deleted"):
            assert self.place.run({"stopped": "stop", "deleted": "reset"}[world]) == ""
        shutil.copytree(self._folder, self._original)
        self._before = self.place.world.copy()

    def _set_up(self) -> None:
        assert self.place.run("up") == ""
        self._store.rows = SAVED
        assert self.place.run("snapshot save") == ""
        snapshots = self.place.settings.state_root / ".snapshots" / "shop"
        (snapshots / "late.zip").rename(snapshots / "early.zip")
        self._store.rows = SAVED + 1
        assert self.place.run("restore") == ""
        self._store.rows = SAVED + 2

    @property
    def _store(self) -> Store:
        return self.place.world.stores[opening.look(self.place.settings).engine.volumes.declared()[VolumeId("db")]]

    def put_back(self) -> None:
        shutil.rmtree(self._folder)
        shutil.copytree(self._original, self._folder)
        before = self._before.copy()
        world = self.place.world
        world.components, world.mounted, world.stores = before.components, before.mounted, before.stores


@pytest.fixture
def ground(tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(tmp_path, calls, monkeypatch)


@pytest.mark.parametrize(("world", "first"), CASES)
def test_two_commands_at_once_are_one_after_the_other(ground: Ground, calls: Calls, world: str, first: str) -> None:
    ground.prepare(world)
    place = ground.place
    for number, second in enumerate(COMMANDS):
        ground.put_back()
        with calls.count():
            code = place.run(first)
        steps = len(calls.names)
        orders = [ended(place, code, place.run(second))]
        for position in positions(steps, number):
            ground.put_back()
            both = ended(place, *at_once(place, calls, first, second, position))
            if both not in orders:
                ground.put_back()
                code = place.run(second)
                orders.append(ended(place, place.run(first), code))
            assert both in orders, f"{second} began before {first} had done: {calls.names[position:]}"


def positions(steps: int, number: int) -> Iterable[int]:
    """At which steps the first command stops for the second one of this number."""
    return range(steps) if STEPS == "all" else [number * steps // len(COMMANDS)]


def at_once(place: Place, calls: Calls, first: str, second: str, position: int) -> tuple[str, str]:
    """How both end if the first stops before a step until the second has ended or waits for the lock."""
    waits, codes = threading.Event(), dict[str, str]()

    def run_second() -> None:
        try:
            codes[second] = place.run(second, Waiting(waits))
        finally:
            waits.set()

    other = threading.Thread(target=run_second)

    def begin() -> None:
        other.start()
        waits.wait()

    with calls.count(position, begin):
        code = place.run(first)
    other.join()
    return code, codes[second]


def ended(place: Place, *codes: str) -> tuple[object, ...]:
    """How two commands ended, what there is then, and what there is after an `undo`."""
    after = place.look()
    return *codes, after, place.run("undo"), place.look()
