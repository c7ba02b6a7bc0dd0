"""What a Swarm does not do of a declaration is said before anything is done, and refused if that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import Container, Postgres, Stack, WebApp
from stack.engines.swarm import losses
from stack.engines.swarm.cluster import Cluster, Node, data_label
from stack.errors import StackError
from stack.instance import Instance, default_ports

WEB = WebApp("web", source=".", port=8000)


def instance(*components: object, registry: str | None = None, project: str = "stackctl-shop-123456") -> Instance:
    stack = Stack("shop", list(components), registry=registry)  # type: ignore[arg-type]
    return Instance(
        "shop", project, stack, Path("/shop"), Path("/shop/.stackctl/shop"), default_ports(stack), registry=registry
    )


def node(name: str, *labels: str) -> Node:
    return Node(name, name, "10.0.0.1", ready=True, known=True, labels=dict.fromkeys(labels, "true"))


def test_a_folder_of_the_project_is_lost() -> None:
    shop = instance(Container("web", image="caddy:2", mounts={"site": "/srv"}))
    assert losses.losses(shop) == ("web/mounts: site of this machine is on no other; it runs what is in its image",)


def test_what_needs_nothing_of_this_machine_loses_nothing() -> None:
    assert losses.losses(instance(WEB, Postgres("db"), registry="registry.example.com")) == ()


def test_ports_on_every_address_are_said() -> None:
    assert "web: published on every address of the nodes" in losses.notices(instance(WEB), mesh=False)[0]
    assert "web: published on every address of every node" in losses.notices(instance(WEB), mesh=True)[0]


def test_something_to_build_and_no_registry_is_one_error() -> None:
    with pytest.raises(StackError, match="web is built, and the nodes") as raised:
        losses.check(instance(WEB))
    assert raised.value.code == "registry-missing"
    losses.check(instance(WEB, registry="registry.example.com/team"))
    losses.check(instance(Postgres("db")))


def test_a_name_that_no_swarm_takes_is_one_error() -> None:
    with pytest.raises(StackError) as raised:
        losses.check(instance(Postgres("database-of-all-orders"), project=f"stackctl-{'a' * 31}-123456"))
    assert raised.value.code == "name-too-long"


@pytest.mark.parametrize(
    ("nodes", "where"),
    [
        ([node("one"), node("two")], "will live on the node one"),
        ([node("one"), node("two", "stackctl.data")], "will live on the node two"),
        ([node("one"), node("two", data_label("stackctl-shop-123456"))], "lives on the node two"),
    ],
)
def test_the_node_with_the_data_is_said(nodes: list[Node], where: str) -> None:
    (said,) = losses.placement(instance(Postgres("db")), Cluster(nodes, own="one"))
    assert f"the data of db {where}" in said


def test_without_data_no_node_is_said() -> None:
    assert losses.placement(instance(WEB), Cluster([node("one")], own="one")) == ()
