"""A database may have a standby on another machine: what is declared, what a Swarm makes of it, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Postgres, Redis, Stack, WebApp
from stack.components.postgres.replication import read_following
from stack.engines.swarm import losses, objects, render
from stack.engines.swarm.arguments import label_node
from stack.engines.swarm.cluster import FENCED, Cluster, Node, data_label, standby_label
from stack.errors import DeclarationError, StackError
from stack.instance import Instance
from stack.progress import Silence
from stack.replication import Following
from stack.results.instances import StandbyStatus
from stack.settings import Settings
from stack.workflow.losses import tell_losses
from stack.workflow.opening import look
from stack.workflow.standbys import standby_lines

PROJECT = "stackctl-shop-123456"
DB = Postgres("db", standby=True, settings={"work_mem": "8MB"})
WEB = WebApp("web", source=".", port=8000, uses=[DB])
STACK = Stack("shop", [DB, WEB, Redis("cache", durable=True)]).on_many_machines()
SHOP = Instance("shop", PROJECT, STACK, Path("/shop"), Path("/shop/.stackctl/shop"), {"web": 8000})  # type: ignore[dict-item]
PLACE = objects.Place(mesh=True, files=Path("/files"), secrets={"db_password": "hunter2", "db_standby": "hunter3"})
STATUS = StandbyStatus(
    "db-standby", "sync", "one", node_ready=True, standby_node="two", standby_node_ready=True, state="streaming",
    protected=True, behind_bytes=0, behind_seconds=0.0, waiting=0,
)  # fmt: skip


def rendered() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render.render(SHOP, PLACE))
    return found


def node(name: str, labels: Mapping[str, str] | None = None, ready: bool = True) -> Node:
    return Node(name, name, "10.0.0.1", ready=ready, known=True, labels=labels or {})


def settings(folder: Path, engine: str) -> Settings:
    file = folder / "stackfile.py"
    file.write_text(
        'from stack import Postgres, Stack\nstack = Stack("shop", [Postgres("db", standby=True)])\n', encoding="utf-8"
    )
    return Settings(file, None, folder / "state", engine, folder / "registry")


@pytest.mark.parametrize("wrong", ["sync", 1, 0, None])
def test_a_standby_is_one_of_three(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match=r"db/standby: .* is none of True, False and 'async'"):
        Postgres("db", standby=wrong)


def test_a_standby_needs_some_settings_as_they_are() -> None:
    with pytest.raises(DeclarationError, match="db/settings/wal_level"):
        Postgres("db", standby=True, settings={"wal_level": "minimal"})
    Postgres("db", settings={"wal_level": "minimal"})


def test_no_other_component_has_the_name_of_a_standby() -> None:
    with pytest.raises(DeclarationError, match="shop/db-standby: is there twice"):
        Stack("shop", [DB, Redis("db-standby")])


@pytest.mark.parametrize("engine", ["compose", "embedded"])
def test_one_machine_runs_none_and_says_so(tmp_path: Path, engine: str) -> None:
    opened = look(settings(tmp_path, engine))
    assert opened.instance.stack.names == ("db",)
    assert opened.losses == (
        f"not on the {engine} engine: db/standby: none runs, for on one machine it would be lost together with db",
    )
    with pytest.raises(StackError) as raised:
        tell_losses(opened, Silence(), strict=True)
    assert (raised.value.code, int(raised.value.exit_code)) == ("lossy", 3)


def test_a_database_is_the_same_on_one_machine_with_a_standby_and_without() -> None:
    plain = Postgres("db").workload("container")
    assert Postgres("db", standby=True).workload("container") == plain


def test_a_swarm_runs_it_beside_the_others(tmp_path: Path) -> None:
    opened = look(settings(tmp_path, "swarm"))
    assert opened.instance.stack.names == opened.instance.stack.whole.names == ("db", "db-standby")
    assert opened.losses == ()


def test_groups_have_the_standbys_of_their_databases() -> None:
    stack = Stack("shop", [WEB, DB, more := Postgres("more", standby=True)], groups={"tools": [more]})
    assert stack.selected(["tools"]).on_many_machines().names == ("web", "db", "db-standby", "more", "more-standby")
    assert stack.selected([]).on_many_machines().names == ("web", "db", "db-standby")
    assert stack.selected([]).on_many_machines().whole.groups == {"tools": ("more", "more-standby")}


def test_each_is_on_a_node_of_its_own_with_a_volume_of_one_name() -> None:
    services = rendered()["services"]
    where = {name: services[name]["deploy"].get("placement") for name in ("db", "db-standby", "cache")}
    assert where == {
        "db": {"constraints": [f"node.labels.stackctl.data.{PROJECT} == true"]},
        "db-standby": {"constraints": [f"node.labels.stackctl.standby.{PROJECT} == true"]},
        "cache": {"constraints": [f"node.labels.stackctl.data.{PROJECT} == true"]},
    }
    assert services["db"]["volumes"] == services["db-standby"]["volumes"]


def test_new_data_is_copied_into_a_volume_of_its_own() -> None:
    shop = replace(SHOP, generations={STACK.workload("db", "container").volumes[0].id: 2})
    services = yaml.safe_load(render.render(shop, PLACE))["services"]
    assert {each["volumes"][0]["source"] for name, each in services.items() if name.startswith("db")} == {"db-pgdata.2"}


def test_both_read_the_password_of_the_standby_and_no_app_does() -> None:
    services = rendered()["services"]
    readers = {name for name, each in services.items() if any("standby" in str(s) for s in each.get("secrets", ()))}
    assert readers == {"db", "db-standby"}
    assert "hunter" not in render.render(SHOP, PLACE)


def test_both_have_the_declared_settings_and_a_limit_for_what_is_kept() -> None:
    for name in ("db", "db-standby"):
        words = " ".join(rendered()["services"][name]["command"])
        assert "-c work_mem=8MB" in words
    assert "-c max_slot_wal_keep_size=1GB" in " ".join(rendered()["services"]["db"]["command"])
    more = Postgres("db", standby=True, settings={"max_slot_wal_keep_size": "9GB"})
    primary = Stack("shop", [more]).on_many_machines().workload("db", "container")
    assert primary.settings["max_slot_wal_keep_size"] == "9GB"


def test_only_the_primary_is_waited_for_by_apps() -> None:
    assert STACK.order.below("web") == {"db"}
    assert STACK.order.below("db-standby") == {"db"}


@pytest.mark.parametrize(
    ("nodes", "chosen"),
    [
        ([node("one"), node("two"), node("three")], "three"),
        ([node("one"), node("two", {"stackctl.standby": "true"}), node("three")], "two"),
        ([node("one"), node("two", {standby_label(PROJECT): "true"}), node("three")], "two"),
        ([node("one"), node("two", {standby_label(PROJECT): "true"}, ready=False), node("three")], "three"),
        ([node("one"), node("two", {standby_label(PROJECT): "true"}, ready=False)], "two"),
        ([node("one"), node("two", ready=False)], None),
    ],
)
def test_a_standby_stays_on_its_node_unless_that_is_down(nodes: list[Node], chosen: str | None) -> None:
    found = Cluster(nodes, own="one").standby_node(PROJECT)
    assert (found and found.name) == chosen


def test_data_that_was_given_up_is_there_only_if_nothing_took_it_over() -> None:
    given_up = node("one", {data_label(PROJECT): FENCED})
    assert Cluster([given_up, node("two")], own="two").has_data(PROJECT) == given_up
    new = node("two", {data_label(PROJECT): "true"})
    assert Cluster([given_up, new], own="two").has_data(PROJECT) == new


def test_the_plan_says_where_both_are_and_what_is_on_one_node_alone() -> None:
    first, second, last = losses.placement(SHOP, Cluster([node("one"), node("two")], own="one"))
    assert first == "the data of db will live on the node one"
    assert second == "db-standby will follow on the node two"
    assert last == "the data of cache will live on the node one, which takes it along if it is lost"


def test_the_plan_says_that_a_copy_moves_or_has_no_place() -> None:
    home, lost = node("one"), node("two", {standby_label(PROJECT): "true"}, ready=False)
    _, moves, _ = losses.placement(SHOP, Cluster([home, lost, node("three")], own="one"))
    assert moves == "db-standby will follow on the node three, with a new copy of all data, because two is down"
    _, nowhere, _ = losses.placement(SHOP, Cluster([home], own="one"))
    assert nowhere == "db-standby can't run: there is no second node that is ready"


def test_labels_of_a_node_change_in_one_step() -> None:
    assert label_node("n", {"a": "true", "b": None}) == [
        "node", "update", "--label-add", "a=true", "--label-rm", "b", "n",
    ]  # fmt: skip


def answer(armed: bool = True, standby: dict[str, Any] | None = None, waiting: int = 0) -> str:
    return json.dumps({"armed": armed, "waiting": waiting, "standby": standby})


@pytest.mark.parametrize(
    ("said", "synchronous", "found"),
    [
        (answer(waiting=3), True, Following("absent", protected=False, waiting=3, armed=True)),
        (
            answer(standby={"state": "streaming", "sync": "sync", "behind": 5, "seconds": 0.5}),
            True,
            Following("streaming", protected=True, behind=5, seconds=0.5, armed=True),
        ),
        (
            answer(armed=False, standby={"state": "streaming", "sync": "async", "behind": 0, "seconds": 0}),
            True,
            Following("streaming", protected=False, behind=0, seconds=0),
        ),
        (
            answer(standby={"state": "catchup", "sync": "potential", "behind": 9, "seconds": 2}),
            True,
            Following("catching-up", protected=False, behind=9, seconds=2, armed=True),
        ),
        (
            answer(standby={"state": "streaming", "sync": "sync", "behind": 0, "seconds": 0}),
            False,
            Following("streaming", protected=False, behind=0, seconds=0, armed=True),
        ),
    ],
)
def test_what_a_primary_says_of_its_standby_is_read(said: str, synchronous: bool, found: Following) -> None:
    assert read_following(said, synchronous) == found


def test_a_primary_is_stuck_if_it_waits_for_a_standby_that_is_gone() -> None:
    assert read_following(answer(waiting=3), synchronous=True).stuck
    assert not read_following(answer(armed=False), synchronous=True).stuck
    another = {"state": "streaming", "sync": "async", "behind": 0, "seconds": 0}
    assert read_following(answer(standby=another), synchronous=True).stuck, "it waits for the copy that was before"
    assert not read_following(answer(standby={**another, "sync": "sync"}), synchronous=True).stuck


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (STATUS, "primary db on one, standby db-standby on two (synchronous): 0 bytes and 0.0 s behind"),
        (replace(STATUS, state="absent", protected=False, waiting=2), "2 sessions wait for it; bring it back, let"),
        (replace(STATUS, protected=False), "db does not rely on it yet; `stackctl up` lets it"),
        (
            replace(STATUS, state="unknown", node_ready=False),
            "one is down; `stackctl failover db` lets db-standby take",
        ),
        (replace(STATUS, mode="async", protected=False), "(asynchronous): 0 bytes and 0.0 s behind"),
    ],
)
def test_status_says_how_a_standby_follows_and_what_to_type(status: StandbyStatus, said: str) -> None:
    (line,) = standby_lines({"db": status})
    assert said in line
