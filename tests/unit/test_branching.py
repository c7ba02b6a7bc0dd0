"""A branch begins as a copy of its parent, is a whole instance of its own, and is made whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.capabilities import Access
from stack.cli import terminal
from stack.cli.invocation import Invocation
from stack.cli.options import Session
from stack.commands import branch as branch_module
from stack.commands.branch import branch, reset_branch
from stack.commands.branch_list import delete_branch, list_branches
from stack.commands.reset import reset
from stack.commands.up import up
from stack.components.postgres.data import PostgresData
from stack.components.postgres.schema import PostgresSchema
from stack.copying import OpenCopy
from stack.engines import ENGINES
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.instance import Instance
from stack.progress import Progress, Silence
from stack.registry import Registry
from stack.report import Report
from stack.results.branches import BranchResult
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow import converge as converge_module
from stack.workflow import fleet, ports, preparing
from tests.unit.fake_engine import FakeEngine, FakeSession, World

STACK = """\
from stack import Container, Job, Parameter, Postgres, Redis, Stack, Volume
db = Postgres("db")
queue = Redis("queue", durable=True)
files = Container("files", image="files", volumes={"/kept": Volume("kept"), "/spare": Volume("spare", backup=False)},
                  environment={"KEY": Parameter("KEY", secret=True, generate=True)})
stack = Stack("shop", [db, queue, files, Job("fill", image="fill", command=["fill"], uses=[db], before=[files])])
"""


class Killed(BaseException):
    """The process ended here, with no chance to do anything more."""


class Shop:
    """The instances of a stack on an engine in memory, each with a world; killed before the step at `position`."""

    def __init__(self, folder: Path) -> None:
        file = folder / "stackfile.py"
        file.write_text(STACK)
        self.settings = Settings(file, None, folder / "state", "compose", folder / "registry")
        self.worlds: dict[str, World] = {}
        self.steps: list[str] = []
        self.position: int | None = None

    def world(self, name: str) -> World:
        if name not in self.worlds:
            self.worlds[name] = World(step=lambda step: self.step(f"{name}: {step}"), beside=self.worlds)
        return self.worlds[name]

    def step(self, name: str) -> None:
        if len(self.steps) == self.position:
            raise Killed(name)
        self.steps.append(name)

    def engine(self, instance: Instance, system_binaries: bool = False) -> FakeEngine:
        return FakeEngine(self.world(instance.name), instance, ComposeEngine)

    def branch(self, name: str, of: str | None = None, position: int | None = None) -> BranchResult:
        self.steps, self.position = [], position
        try:
            return branch(self.of(of), name, Silence()).data
        finally:
            self.position = None

    def of(self, name: str | None) -> Settings:
        return replace(self.settings, instance=name)

    def up(self, name: str, branch_of: str) -> UpResult:
        return up(self.of(name), Silence(), branch_of=branch_of).data

    def state(self, name: str) -> State:
        return State(self.settings.state_root / name)

    def rows(self, name: str) -> list[int]:
        return [store.rows for store in self.world(name).stores.values()]


def found_ready(_: object, engine: FakeEngine, *__: object, **___: object) -> Verdict:
    return Verdict(0, engine.observe())


def copy(data: PostgresData, source: Access, opening: OpenCopy, progress: Progress) -> int:
    with opening("") as files:
        files.copy()
        return files.size()


def settle(data: PostgresData, access: Access, password: str) -> tuple[str, ...]:
    with access.offline(data.database.serve(access.target)) as session:
        assert isinstance(session, FakeSession)
        session.set_password(f"PASSWORD {password}")
    return ("db: unlogged tables are empty: drafts",)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An instance that is up, with 41 rows."""
    made = Shop(tmp_path)
    monkeypatch.setitem(ENGINES, "compose", made.engine)
    monkeypatch.setattr(fleet, "FLEETS", {})
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    monkeypatch.setattr(converge_module, "await_ready", found_ready)
    monkeypatch.setattr(preparing, "await_verified", lambda *_: None)
    monkeypatch.setattr(PostgresSchema, "separate", lambda *_: None)
    monkeypatch.setattr(PostgresData, "copy", copy)
    monkeypatch.setattr(PostgresData, "settle", settle)
    up(made.settings, Silence())
    (store,) = made.world("shop").stores.values()
    store.rows = 41
    return made


@pytest.fixture
def writes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file of a state that is written is a step too."""
    write = State.write

    def step_and_write(self: State, *arguments: Any, **named: Any) -> Path:
        shop.step(f"write {arguments[0]}")
        return write(self, *arguments, **named)

    monkeypatch.setattr(State, "write", step_and_write)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def yes(_: str) -> bool:
    return True


def test_a_branch_has_the_data_of_its_parent_and_a_password_of_its_own(shop: Shop) -> None:
    made = shop.branch("feature")
    assert (made.instance, made.parent, made.engine, made.cloned) == ("feature", "shop", "compose", True)
    assert shop.rows("feature") == [41]
    (ours,), (theirs,) = (shop.world(name).stores.values() for name in ("feature", "shop"))
    assert ours.password == shop.state("feature").secret("db_password").reveal() != theirs.password


def test_what_is_not_as_in_the_parent_is_said(shop: Shop) -> None:
    assert shop.branch("feature").differs == ("spare is empty: backup=False", "db: unlogged tables are empty: drafts")


def test_a_branch_is_as_declared_and_repeats_no_job(shop: Shop) -> None:
    shop.branch("feature")
    assert shop.worlds["feature"].components["files"].running
    assert "fill" not in shop.worlds["feature"].components, "what it did is in the copy"
    assert not up(shop.of("feature"), Silence()).data.changed


def test_a_branch_keeps_the_parameters_of_its_parent(shop: Shop) -> None:
    shop.branch("feature")
    assert shop.state("feature").secret("kept-KEY") == shop.state("shop").secret("kept-KEY")


def test_all_that_is_saved_is_copied_while_it_serves(shop: Shop) -> None:
    shop.branch("feature")
    copied = [step.removeprefix("feature: copy ") for step in shop.steps if step.startswith("feature: copy ")]
    assert [each for each in copied if each != "files"] == ["db", "queue", "kept"]
    assert not [step for step in shop.steps if step.startswith(("shop: stop", "shop: apply", "shop: start"))]


def test_a_branch_of_a_branch_outlives_both(shop: Shop) -> None:
    shop.branch("feature")
    shop.world("feature").stores["db-pgdata"].rows = 42
    assert shop.branch("second", of="feature").parent == "feature"
    asked: list[str] = []

    def confirm(told: str) -> bool:
        asked.append(told)
        return True

    reset(shop.of("feature"), Silence(), confirm, saves=False)
    assert "Its branches stay as they are, each with a whole copy of its data: second." in asked[0]
    assert shop.rows("second") == [42]
    (listed,) = list_branches(shop.settings).data.branches
    assert (listed.instance, listed.parent, listed.parent_gone) == ("second", "feature", True)


@pytest.mark.parametrize("name", ["shop", "feature", "other"])
def test_a_name_that_is_taken_is_refused(shop: Shop, name: str) -> None:
    shop.branch("feature")
    up(shop.of("other"), Silence())
    before = [*shop.rows("feature"), *shop.rows("other")]
    with pytest.raises(StackError) as raised:
        shop.branch(name)
    assert raised.value.code == "branch-exists"
    assert [*shop.rows("feature"), *shop.rows("other")] == before


def test_data_whose_state_is_lost_is_not_overwritten(shop: Shop) -> None:
    shop.world("feature").files["kept"] = b"of before"
    with pytest.raises(StackError, match="whose state is lost: kept"):
        shop.branch("feature")
    assert shop.world("feature").files == {"kept": b"of before"}


def test_there_is_no_branch_of_what_does_not_exist(shop: Shop) -> None:
    with pytest.raises(StackError) as raised:
        shop.branch("feature", of="nothing")
    assert raised.value.code == "instance-down"
    assert not shop.state("feature").folder.exists()


def test_a_branch_begins_again_from_its_parent_as_it_is_now(shop: Shop) -> None:
    shop.branch("feature")
    password = shop.state("feature").secret("db_password")
    (now,), (ours,) = (shop.world(name).stores.values() for name in ("shop", "feature"))
    now.rows, ours.rows = 50, 1
    reset_branch(shop.settings, "feature", Silence(), yes, saves=False)
    assert (shop.rows("feature"), shop.rows("shop")) == ([50], [50])
    (store,) = shop.world("feature").stores.values()
    assert store.password == shop.state("feature").secret("db_password").reveal() == password.reveal()
    assert not up(shop.of("feature"), Silence()).data.changed


def test_a_branch_is_not_made_again_from_a_parent_that_was_moved(shop: Shop) -> None:
    shop.branch("feature")
    state = shop.state("shop")
    record = state.record()
    assert record is not None
    state.remember(replace(record, host="ssh://deploy@shop.example.com"))
    with pytest.raises(StackError, match="feature is on compose, and shop on ssh:") as raised:
        reset_branch(shop.settings, "feature", Silence(), yes, saves=False)
    assert raised.value.code == "engine-differs"
    assert shop.rows("feature") == [41]


def test_only_a_branch_is_reset_or_deleted_as_one(shop: Shop) -> None:
    for name in ("shop", "nothing"):
        with pytest.raises(StackError) as raised:
            reset_branch(shop.settings, name, Silence(), yes)
        assert raised.value.code == "branch-unknown"
        with pytest.raises(StackError) as raised:
            delete_branch(shop.settings, name, Silence(), yes)
        assert raised.value.code == "branch-unknown"
    assert shop.rows("shop") == [41]


def test_a_deleted_branch_leaves_nothing(shop: Shop) -> None:
    shop.branch("feature")
    deleted = delete_branch(shop.settings, "feature", Silence(), yes, saves=False)
    assert deleted.command == "branch delete"
    assert (shop.worlds["feature"].stores, shop.worlds["feature"].files) == ({}, {})
    assert list_branches(shop.settings).data.branches == ()


def test_what_to_type_after_a_command_on_a_branch_acts_on_it(shop: Shop) -> None:
    made = branch(shop.settings, "feature", Silence())
    again = reset_branch(shop.settings, "feature", Silence(), yes, saves=False)
    gone = delete_branch(shop.settings, "feature", Silence(), yes, saves=False)
    reports: tuple[Report[object], ...] = (made, again, gone)
    for report in reports:
        told = Invocation(instance="shop").report(replace(report, text="`stackctl undo`", look=None))
        assert told.text == "`stackctl --instance feature undo`", report.command


def test_a_question_about_a_branch_says_what_acts_on_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(shop.settings, terminal.progress(), False, Invocation(instance="shop"))
    assert session.asking("branch delete", True, instance="feature")("saved first: `stackctl undo`")
    assert capsys.readouterr().err == "saved first: `stackctl --instance feature undo`\n"


def test_a_copy_that_fails_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise StackError("disk-full", "no room", "make room")

    monkeypatch.setattr(PostgresData, "copy", full)
    with pytest.raises(StackError, match="no room"):
        shop.branch("feature")
    assert_nothing_left(shop)


def test_what_to_type_if_a_branch_does_not_start_acts_on_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise StackError("unhealthy", "db is unhealthy", "`stackctl logs db`")

    monkeypatch.setattr(branch_module, "converge", failing)
    with pytest.raises(StackError, match="db is unhealthy") as raised:
        shop.branch("feature")
    assert Invocation(instance="shop").error(raised.value).hint == "`stackctl --instance feature logs db`"
    assert shop.rows("feature") == [41], "it is made, and its data can be looked at"


@pytest.mark.parametrize("taken", [None, 8001, 8002])
def test_a_port_that_is_taken_while_it_is_copied_is_chosen_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, taken: int | None
) -> None:
    def slow(*arguments: Any) -> int:
        is_taken.update({taken} if taken else ())
        return copy(*arguments)

    is_taken: set[int] = set()
    shop.settings.file.write_text(
        STACK.replace(", Job(", ", Container('page', image='i', ports={'http': 80}, publish={'http': 8001}), Job(")
    )
    up(shop.settings, Silence())
    monkeypatch.setattr(ports, "is_free", lambda port, _: port not in is_taken)
    monkeypatch.setattr(ports, "next_free", lambda *_: next(n for n in (8002, 8003) if n not in is_taken))
    monkeypatch.setattr(PostgresData, "copy", slow)
    made = shop.branch("feature")
    assert made.up.automatic_ports == {"page:http": 8003 if taken == 8002 else 8002}
    assert not up(shop.of("feature"), Silence()).data.changed, "it is remembered"


def test_up_begins_a_new_instance_with_a_copy_and_keeps_it(shop: Shop) -> None:
    assert shop.up("feature", "shop").instance == "feature"
    assert shop.rows("feature") == [41]
    shop.world("feature").stores["db-pgdata"].rows = 1
    shop.world("shop").stores["db-pgdata"].rows = 42
    assert not shop.up("feature", "shop").changed
    assert shop.rows("feature") == [1], "what is there already is not replaced"


def test_up_refuses_a_branch_of_what_is_not_there(shop: Shop) -> None:
    with pytest.raises(StackError) as raised:
        shop.up("feature", "nothing")
    assert raised.value.code == "branch-unknown"
    assert not shop.state("feature").folder.exists()


def test_a_branch_is_on_no_other_engine_than_its_parent(shop: Shop) -> None:
    with pytest.raises(StackError) as raised:
        up(replace(shop.of("feature"), engine="embedded"), Silence(), branch_of="shop")
    assert raised.value.code == "engine-differs"
    assert not shop.state("feature").folder.exists()


def test_what_is_declared_otherwise_is_not_copied(shop: Shop) -> None:
    other = shop.settings.file.with_name("other.py")
    other.write_text(STACK.replace(", queue, files,", ", files,"))
    up(replace(shop.of("feature"), file=other), Silence(), branch_of="shop")
    assert shop.rows("feature") == [41]
    assert "queue-data" not in shop.world("feature").files


@pytest.mark.usefixtures("writes")
def test_a_branch_is_made_whole_or_not_at_all_wherever_it_is_killed(shop: Shop) -> None:
    position = 0
    while True:
        try:
            shop.branch("feature", position=position)
        except Killed:
            listed = list_branches(shop.settings).data.branches
            up(shop.settings, Silence())
            if shop.state("feature").exists():
                assert listed[0].state != "unfinished"
                assert shop.rows("feature") == [41]
                up(shop.of("feature"), Silence())
                (store,) = shop.world("feature").stores.values()
                assert store.password == shop.state("feature").secret("db_password").reveal()
                delete_branch(shop.settings, "feature", Silence(), yes, saves=False)
            assert_nothing_left(shop)
            assert shop.rows("shop") == [41]
            position += 1
        else:
            break
    assert position > 20


@pytest.mark.usefixtures("writes")
def test_what_a_killed_branch_left_is_removed_by_its_own_next_command(shop: Shop) -> None:
    with pytest.raises(Killed):
        shop.branch("feature", position=20)
    assert shop.branch("feature").instance == "feature"
    assert shop.rows("feature") == [41]


def assert_nothing_left(shop: Shop) -> None:
    assert not shop.state("feature").exists()
    assert (shop.world("feature").stores, shop.world("feature").files) == ({}, {})
    assert [entry.instance for entry in Registry(shop.settings.registry).entries()] == ["shop"]
