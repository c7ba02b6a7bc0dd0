"""A failover fences the primary before it promotes the standby, and refuses what would lose something."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stack import Postgres, Redis, Stack
from stack.capabilities import Completed
from stack.commands.failover import take_over
from stack.commands.inspect import report as inspected
from stack.component import Component
from stack.engines.base import Machine, Standbys
from stack.engines.swarm.driver import SwarmEngine
from stack.errors import StackError, UsageError
from stack.instance import Instance
from stack.observed import ComponentState
from stack.progress import Silence
from stack.record import Record
from stack.results.access import QueryRows, TableRows
from stack.results.lifecycle import FailoverResult
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from tests.unit.fake_engine import FakeEngine, World

RUNS = ComponentState("1", "running", "healthy", 0, 0, False, None, "")
DB = Postgres("db", standby=True)
ONE_LOST, TWO = Machine("one", ready=False), Machine("two", ready=True)


@dataclass
class FakeStandbys(Standbys):
    """Two machines, and what was done in which order."""

    done: list[str] = field(default_factory=list)
    at: Machine = ONE_LOST
    to: Machine | None = TWO
    complete: bool = True
    begun: bool = False

    def home(self) -> Machine | None:
        return self.at

    def spare(self) -> Machine | None:
        return self.to

    def holds_all(self) -> bool:
        return self.complete

    def note(self, holds_all: bool) -> None:
        self.complete = holds_all

    def given_up(self) -> bool:
        return self.begun

    def fence(self, primaries: Sequence[str]) -> None:
        self.done.append(f"fence {' '.join(primaries)}")

    def take_over(self, primaries: Sequence[str], standbys: Sequence[str]) -> None:
        self.done.append(f"move {' '.join([*primaries, *standbys])}")


class SpreadEngine(FakeEngine):
    """An engine with several machines."""

    def __init__(self, world: World, instance: Instance, standbys: Standbys) -> None:
        super().__init__(world, instance, like=SwarmEngine)
        self._standbys = standbys

    @property
    def standbys(self) -> Standbys:
        return self._standbys


def opened(folder: Path, standbys: FakeStandbys, world: World, *components: Component) -> Opened:
    stack = Stack("shop", [*components]).on_many_machines()
    state = State(folder / "shop")
    instance = Instance("shop", "stackctl-shop-abc", stack, folder, state.folder, {})
    world.components.update({name: RUNS for name in stack.names if name not in world.components})
    world.step = lambda step: standbys.done.append("promote") if step == "query" else None
    engine = SpreadEngine(world, instance, standbys)
    return Opened(instance, state, engine, Record("stackctl-shop-abc", {}), Choice("swarm", ""))


def moved(shop: Opened, confirm: bool = True, asked: list[str] | None = None) -> FailoverResult:
    def answer(announcement: str) -> bool:
        if asked is not None:
            asked.append(announcement)
        return confirm

    return take_over(shop, "db", Silence(), answer, 5).data


def test_the_primary_is_fenced_before_the_standby_is_promoted(tmp_path: Path) -> None:
    standbys = FakeStandbys()
    result = moved(opened(tmp_path, standbys, World(), DB))
    assert standbys.done == ["promote", "fence db", "promote", "move db db-standby"], "the first one asks what it holds"
    assert (result.moved, result.from_node, result.to_node, result.left) == (("db",), "one", "two", ())


def test_all_databases_of_the_node_move_together(tmp_path: Path) -> None:
    standbys = FakeStandbys()
    result = moved(opened(tmp_path, standbys, World(), DB, Postgres("orders", standby="async")))
    assert result.moved == ("db", "orders")
    assert standbys.done[-1] == "move db orders db-standby orders-standby"


def test_what_is_lost_or_left_is_said_before_anything_is_done(tmp_path: Path) -> None:
    standbys, asked = FakeStandbys(), list[str]()
    shop = opened(tmp_path, standbys, World(), Postgres("db", standby="async"), Redis("queue", durable=True))
    with pytest.raises(StackError) as raised:
        moved(shop, confirm=False, asked=asked)
    assert raised.value.code == "cancelled"
    assert standbys.done == []
    (said,) = asked
    assert "db will run on two, and not on one any more" in said
    assert "the last moments may be LOST" in said
    assert "queue: its data was on one alone, and starts EMPTY on two" in said
    assert moved(shop).left == ("queue",)


def test_data_on_a_node_that_is_up_is_not_left_behind(tmp_path: Path) -> None:
    standbys = FakeStandbys(at=Machine("one", ready=True))
    with pytest.raises(StackError, match="queue has its data there alone") as raised:
        moved(opened(tmp_path, standbys, World(), DB, Redis("queue", durable=True)))
    assert raised.value.code == "data-left-behind"
    assert moved(opened(tmp_path, FakeStandbys(at=Machine("one", ready=True)), World(), DB)).left == ()


@pytest.mark.parametrize(
    ("standbys", "world"),
    [
        (FakeStandbys(to=None), World()),
        (FakeStandbys(to=Machine("two", ready=False)), World()),
        (FakeStandbys(complete=False), World()),
        (FakeStandbys(), World(answer=Completed(1, "", ""))),
        (FakeStandbys(), World({"db-standby": ComponentState("1", "exited", "none", 0, 0, False, None, "")})),
    ],
    ids=["never chosen", "node down", "not known to have all", "says that it has not all", "does not run"],
)
def test_a_standby_that_may_lack_something_is_not_promoted(
    tmp_path: Path, standbys: FakeStandbys, world: World
) -> None:
    with pytest.raises(StackError) as raised:
        moved(opened(tmp_path, standbys, world, DB))
    assert raised.value.code == "standby-late"
    assert not [step for step in standbys.done if step != "promote"]


def test_a_failover_that_was_cut_off_goes_on_wherever_that_was(tmp_path: Path) -> None:
    """What it was to find out it has: the standby may be stopped or promoted by now, and the old node be back."""
    standbys = FakeStandbys(at=Machine("one", ready=True), begun=True)
    stopped = replace(RUNS, state="exited")
    world = World({"db-standby": stopped}, answer=Completed(0, "", ""))
    result = moved(opened(tmp_path, standbys, world, DB, Redis("queue", durable=True)))
    assert standbys.done == ["fence db", "promote", "move db db-standby"]
    assert world.components["db-standby"].running
    assert result.left == ("queue",)


def test_a_failover_does_not_go_on_without_the_node_of_the_standby(tmp_path: Path) -> None:
    standbys = FakeStandbys(to=Machine("two", ready=False), begun=True)
    with pytest.raises(StackError, match="the node two is down") as raised:
        moved(opened(tmp_path, standbys, World(), DB))
    assert raised.value.code == "standby-late"
    assert standbys.done == []


def test_a_database_without_a_standby_has_nothing_to_promote(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'db' has no standby"):
        moved(opened(tmp_path, FakeStandbys(), World(), Postgres("db")))


def test_inspect_tells_where_the_primary_and_its_standby_are(tmp_path: Path) -> None:
    follows = {"state": "streaming", "sync": "sync", "behind": 7, "seconds": 0.25}
    answers = iter(["page,visits\nhome,3\n", json.dumps({"armed": True, "waiting": 0, "standby": follows})])
    world, database = World(), replace(DB, inspect="pages")
    shop = opened(tmp_path, FakeStandbys(at=Machine("one", ready=True)), world, database)
    world.step = lambda step: setattr(world, "answer", Completed(0, next(answers), "")) if step == "query" else None
    client = database.client
    assert client is not None
    shown = inspected(shop, "db", client, None)
    assert isinstance(shown.data, TableRows)
    assert shown.data.rows == (("home", "3"),)
    standby = shown.data.standby
    assert standby is not None
    assert (standby.node, standby.standby_node, standby.behind_bytes, standby.protected) == ("one", "two", 7, True)
    assert "primary db on one, standby db-standby on two (synchronous): 7 bytes and 0.2 s behind" in shown.text


def test_a_query_is_answered_with_its_rows_alone(tmp_path: Path) -> None:
    shop = opened(tmp_path, FakeStandbys(), World(answer=Completed(0, "count\n1\n", "")), DB)
    client = DB.client
    assert client is not None
    assert inspected(shop, "db", client, "SELECT count(*) FROM pages").data == QueryRows(True, ("count",), (("1",),))
