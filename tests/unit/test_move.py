"""`move` between this machine and a server, both in memory: what it decides, and what is left if it is killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stack.commands.move import delete_old, move, move_back
from stack.commands.reset import reset
from stack.commands.status import status
from stack.commands.stop import stop
from stack.engines import ENGINES
from stack.engines.compose import files
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.process import FinishedJob
from stack.errors import Interrupted, StackError, UsageError
from stack.instance import Instance
from stack.observed import Observed
from stack.playground import stack as playground
from stack.progress import Silence
from stack.record import Place, Record
from stack.settings import Settings
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow import converge as converge_module
from stack.workflow import moving, ports
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.opening import change
from tests.unit.fake_engine import FakeEngine, World, tar_of

SERVER = "ssh://deploy@shop.example.com"
DECLARATION = """\
from stack import Container, Job, Stack, Volume
box = Container("box", image="box:1", command=["serve"], volumes={"/data": Volume("data")})
spare = Container("spare", image="box:1", command=["idle"])
stack = Stack("shop", [box, spare, Job("fill", of=box, command=["fill"], after=[box])])
"""
STORE = "data"
DATA = tar_of({"counted": b"3"})


class Killed(BaseException):
    """The process ended here, with no chance to do anything more."""


class Shop:
    """An instance in a folder. Each call of an engine and each write of its state is a step.

    From the step at `position` on nothing is done any more. `fails`: called when it is to be ready on the server.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        file = folder / "stack.py"
        file.write_text(DECLARATION)
        self.here, self.server = World(step=self.step), World(step=self.step)
        self.position: int | None = None
        self.steps: list[str] = []
        self.fails: Callable[[], None] = lambda: None
        self.settings = Settings(file, None, folder / "state", registry=folder / "registry")

    def step(self, name: str) -> None:
        if len(self.steps) == self.position:
            raise Killed(name)
        self.steps.append(name)

    def world(self, host: str | None) -> World:
        return self.here if host is None else self.server

    @property
    def record(self) -> Record:
        found = State(self.settings.state_root / "shop").record()
        assert found is not None
        return found

    @property
    def running(self) -> list[str]:
        """Where anything runs."""
        places = {"here": self.here, "server": self.server}
        return [name for name, each in places.items() if any(state.running for state in each.components.values())]

    @property
    def data(self) -> list[bytes]:
        """What the place has that the record names."""
        return [*self.world(self.record.host).files.values()]

    def up(self) -> None:
        self.position = None
        with change(self.settings, Silence()) as opened:
            converge(opened, Journal(opened.state), Silence(), UpOptions())

    def move(self, target: str = SERVER, position: int | None = None, **options: Any) -> Any:
        self.position, self.steps = position, []
        return move(self.settings, target, Silence(), lambda _: True, **options)

    def back(self, position: int | None = None) -> Any:
        self.position, self.steps = position, []
        return move_back(self.settings, Silence(), lambda _: True)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Shop]:
    """Make an instance that is up here and has counted, in a folder of this name."""
    current: list[Shop] = []
    write = State.write

    def step_and_write(self: State, *arguments: Any, **named: Any) -> Path:
        current[-1].step(f"write {arguments[0]}")
        return write(self, *arguments, **named)

    def ready(instance: Any, engine: FakeEngine, *_: object, **__: object) -> Verdict:
        if instance.host is not None:
            current[-1].fails()
        return Verdict(0, engine.observe())

    def make(name: str) -> Shop:
        current.append(Shop(tmp_path / name))
        current[-1].up()
        current[-1].here.files[STORE] = DATA
        return current[-1]

    monkeypatch.setattr(State, "write", step_and_write)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    monkeypatch.setattr(converge_module, "await_ready", ready)
    monkeypatch.setattr(moving, "await_well", lambda *_, **__: None)
    monkeypatch.setitem(
        ENGINES,
        "compose",
        lambda instance, **_: FakeEngine(current[-1].world(instance.host), instance, ComposeEngine),
    )
    return make


@pytest.fixture
def shop(make: Callable[[str], Shop]) -> Shop:
    return make("shop")


def test_an_instance_runs_where_it_was_moved_with_its_data(shop: Shop) -> None:
    report = shop.move()
    assert (report.data.was, report.data.now, report.data.files) == ("compose", SERVER, 1)
    assert shop.running == ["server"]
    assert (shop.record.host, shop.record.engine, shop.data) == (SERVER, "compose", [DATA])
    assert shop.record.elsewhere is not None
    assert (str(shop.record.elsewhere), bool(shop.record.elsewhere.left)) == ("compose", True)
    assert (shop.here.components, shop.here.files) == ({}, {STORE: DATA}), "nothing there can be started by accident"


def test_what_a_job_did_is_in_the_data_and_not_done_again(shop: Shop) -> None:
    shop.move()
    assert "fill" not in shop.server.components
    shop.back()
    assert "fill" not in shop.here.components


def test_what_was_stopped_on_purpose_stays_stopped(shop: Shop) -> None:
    stop(shop.settings, Silence(), ["spare"])
    shop.move()
    assert {name: state.running for name, state in shop.server.components.items()} == {"box": True}
    assert shop.record.stopped == ("spare",)


def test_an_option_may_name_the_server_that_it_goes_to(shop: Shop) -> None:
    move(
        Settings(shop.settings.file, None, shop.settings.state_root, host=SERVER, registry=shop.settings.registry),
        SERVER,
        Silence(),
        lambda _: True,
    )
    assert shop.running == ["server"]


def test_a_move_that_is_not_confirmed_changes_nothing(shop: Shop) -> None:
    before, shown = shop.record, list[str]()

    def refuse(text: str) -> bool:
        shown.append(text)
        return False

    with pytest.raises(StackError, match="nothing was moved"):
        move(shop.settings, SERVER, Silence(), refuse)
    assert "moves the instance 'shop' from compose to ssh://deploy@shop.example.com" in shown[0]
    assert "the data of data is saved" in shown[0]
    planned = shop.move(dry_run=True)
    assert planned.text == shown[0]
    assert (shop.record, shop.running, shop.server.files) == (before, ["here"], {})


@pytest.mark.parametrize("target", ["compose", "ftp://shop", "nowhere"])
def test_a_place_that_is_none_or_its_own_is_told(shop: Shop, target: str) -> None:
    with pytest.raises(UsageError) as raised:
        shop.move(target)
    assert raised.value.hint
    assert shop.running == ["here"]


def test_an_instance_that_does_not_exist_is_not_moved(shop: Shop) -> None:
    shop.settings = Settings(shop.settings.file, "other", shop.settings.state_root, registry=shop.settings.registry)
    with pytest.raises(StackError, match="there is no instance other"):
        shop.move()


def test_data_that_is_not_known_there_is_not_touched(shop: Shop) -> None:
    shop.server.files["data"] = tar_of({"of": b"another"})
    with pytest.raises(StackError) as raised:
        shop.move()
    assert raised.value.code == "place-taken"
    assert shop.server.files == {"data": tar_of({"of": b"another"})}
    assert shop.running == ["here"]


def test_keys_that_another_server_can_not_read_are_refused_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(shop.server, instance, EmbeddedEngine))
    redis = 'from stack import Redis, Stack\nstack = Stack("shop", [Redis("queue", durable=True)])\n'
    shop.settings.file.write_text(redis)
    shop.up()
    shop.here.files["queue-data"] = DATA
    with pytest.raises(StackError, match="queue: the server on embedded is another one") as raised:
        shop.move("embedded")
    assert (raised.value.code, shop.running) == ("snapshot-loses", ["here"])
    assert "stop queue" not in shop.steps
    shown = shop.move("embedded", dry_run=True, accepts=True)
    assert "queue begins EMPTY there" in shown.text
    shop.move("embedded", accepts=True)
    assert (shop.running, shop.server.files) == (["server"], {"queue-data": tar_of({})})


def test_data_that_does_not_fit_what_is_declared_is_not_moved(shop: Shop) -> None:
    file = shop.settings.file
    file.write_text('from stack import Postgres, Stack\nstack = Stack("shop", [Postgres("db", version=17)])\n')
    shop.up()
    file.write_text(file.read_text().replace("17", "18"))
    with pytest.raises(StackError) as raised:
        shop.move()
    assert (raised.value.code, shop.running, shop.record.elsewhere) == ("data-version", ["here"], None)


def test_the_next_move_asks_what_becomes_of_the_old_data(shop: Shop) -> None:
    shop.move()
    with pytest.raises(StackError) as raised:
        shop.move("compose")
    assert raised.value.code == "move-pending"
    delete_old(shop.settings, Silence(), lambda _: True)
    assert (shop.here.files, shop.record.elsewhere) == ({}, None)
    shop.move("compose")
    assert (shop.running, shop.data) == (["here"], [DATA])


def test_a_return_keeps_what_was_written_since(shop: Shop) -> None:
    shop.move()
    later = tar_of({"counted": b"4"})
    shop.server.files[STORE] = later
    shop.back()
    assert (shop.running, shop.data) == (["here"], [DATA])
    shop.back()
    assert (shop.running, shop.data) == (["server"], [later])


def test_a_return_to_data_that_is_gone_is_refused(shop: Shop) -> None:
    shop.move()
    shop.here.files.clear()
    with pytest.raises(StackError, match="no data on compose any more"):
        shop.back()
    assert (shop.running, shop.data) == (["server"], [DATA])


@pytest.mark.parametrize("command", [move_back, delete_old])
def test_without_a_move_there_is_no_old_data(shop: Shop, command: Callable[..., object]) -> None:
    with pytest.raises(StackError) as raised:
        command(shop.settings, Silence(), lambda _: True)
    assert raised.value.code == "nothing-kept"


def test_a_server_that_answers_is_not_given_up(shop: Shop) -> None:
    shop.move()
    with pytest.raises(UsageError, match=r"shop\.example\.com answers"):
        move_back(shop.settings, Silence(), lambda _: True, gone=True)
    assert shop.running == ["server"]


def test_a_server_that_is_gone_is_left_and_forgotten(shop: Shop) -> None:
    shop.move()

    def cut(name: str) -> None:
        raise StackError("server-unreachable", "it can't be reached", "check the network")

    shop.server.step = cut
    with pytest.raises(StackError, match="can't be reached"):
        shop.back()
    move_back(shop.settings, Silence(), lambda _: True, gone=True)
    assert (shop.record.host, shop.data) == (None, [DATA])
    delete_old(shop.settings, Silence(), lambda _: True, gone=True)
    assert shop.record.elsewhere is None


def test_status_shows_the_old_data_and_reset_deletes_it_too(shop: Shop) -> None:
    shop.move()
    found = status(shop.settings)
    assert found.data.elsewhere is not None
    assert (found.data.elsewhere.place, found.data.elsewhere.left is None) == ("compose", False)
    assert "is kept on compose: `stackctl move --back` returns to it" in found.text
    shown = list[str]()

    def agree(text: str) -> bool:
        shown.append(text)
        return True

    reset(shop.settings, Silence(), agree, saves=False)
    assert "volumes on compose, of before a move: data" in shown[0]
    assert (shop.here.files, shop.server.files) == ({}, {})


def test_a_failure_there_leads_back_with_nothing_left(shop: Shop) -> None:
    def fail() -> None:
        raise StackError("not-ready", "box is not ready", "look at its logs")

    shop.fails = fail
    with pytest.raises(StackError, match="box is not ready") as raised:
        shop.move()
    assert raised.value.hint == "shop is on compose as it was; look at its logs"
    assert (shop.running, shop.data, shop.record.elsewhere) == (["here"], [DATA], None)
    assert (shop.server.components, shop.server.files) == ({}, {})
    shop.fails = lambda: None
    shop.move()
    assert shop.running == ["server"]


def test_after_a_failure_nothing_that_was_written_there_is_lost(shop: Shop) -> None:
    later = tar_of({"counted": b"4"})

    def count_and_fail() -> None:
        shop.server.files[STORE] = later
        raise StackError("not-ready", "box is not ready", "look at its logs")

    shop.fails = count_and_fail
    with pytest.raises(StackError, match="box is not ready") as raised:
        shop.move()
    assert raised.value.hint.startswith(f"shop is on {SERVER} now, with all of its data, which has changed since")
    assert "`stackctl move --back` returns to compose" in raised.value.hint
    assert (shop.running, shop.data) == (["server"], [later])


def test_a_server_that_can_no_longer_be_asked_keeps_the_instance(shop: Shop) -> None:
    def lose() -> None:
        def cut(name: str) -> None:
            raise StackError("connection-lost", "the connection was cut", "type it again")

        shop.server.step = cut
        raise StackError("connection-lost", "the connection was cut", "type it again")

    shop.fails = lose
    with pytest.raises(StackError, match="the connection was cut") as raised:
        shop.move()
    assert f"shop is on {SERVER} now" in raised.value.hint
    assert shop.running == ["server"], "it is not started at both places"
    shop.server.step, shop.fails = shop.step, lambda: None
    shop.up()
    assert (shop.running, shop.data) == (["server"], [DATA])


def test_ctrl_c_leads_back_and_says_so(shop: Shop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    shop.fails = interrupt
    with pytest.raises(Interrupted, match="shop is on compose as it was"):
        shop.move()
    assert (shop.running, shop.data) == (["here"], [DATA])


def test_a_killed_move_is_finished_or_undone_by_the_next_command(make: Callable[[str], Shop]) -> None:
    whole = make("whole")
    whole.move()
    for position, name in enumerate(whole.steps):
        shop = make(str(position))
        with pytest.raises(Killed):
            shop.move(position=position)
        when = f"killed before step {position}, {name}"
        assert len(shop.running) <= 1, when
        shop.up()
        assert (len(shop.running), shop.data) == (1, [DATA]), when
        if shop.record.host is None:
            shop.move()
        assert (shop.running, shop.data) == (["server"], [DATA]), when
        assert (place := shop.record.elsewhere) is not None, when
        assert place.left, when
        delete_old(shop.settings, Silence(), lambda _: True)
        assert (shop.here.components, shop.here.files) == ({}, {}), when


def test_a_killed_return_is_finished_or_undone_by_the_next_command(make: Callable[[str], Shop]) -> None:
    whole = make("whole")
    whole.move()
    whole.back()
    later = tar_of({"counted": b"4"})
    for position, name in enumerate(whole.steps):
        shop = make(str(position))
        shop.move()
        shop.server.files[STORE] = later
        with pytest.raises(Killed):
            shop.back(position)
        when = f"killed before step {position}, {name}"
        assert len(shop.running) <= 1, when
        shop.up()
        assert (shop.running, shop.data) in [(["here"], [DATA]), (["server"], [later])], when


def test_only_images_that_are_missing_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = Instance("shop", "p", playground, tmp_path, tmp_path, {})
    instance.configuration.mkdir()
    (instance.configuration / "compose.yaml").touch()
    engine = ComposeEngine(instance)
    ran = list[Sequence[str]]()

    def note(command: Sequence[str]) -> FinishedJob:
        ran.append(command[-3:])
        return FinishedJob()

    monkeypatch.setattr(files, "write_configuration", lambda _: None)
    monkeypatch.setattr(engine, "_start", note)
    for there, expected in (({"db": "1"}, [["pull", "--quiet", "cache"]]), ({"db": "1", "cache": "2"}, [])):
        monkeypatch.setattr(engine, "observe_all", lambda there=there: Observed({}, images=there))
        ran.clear()
        engine.fetch()
        assert ran == expected


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place("compose", "stackctl-shop-ssh", SERVER, {}, left="2026-11-27T12:00:00+00:00")
    record = Record("stackctl-shop", {}, "embedded", elsewhere=place)
    assert Record.parsed(record.data) == record
