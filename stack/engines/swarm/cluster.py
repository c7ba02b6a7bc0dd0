"""The machines of a Swarm, and which of them has the data of an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from stack.errors import StackError
from stack.frozen import dataclass

HOST = "stackctl.host"
"""The label of a node with the address of its daemon, as `docker --host` takes it."""
MAY_HAVE_DATA = "stackctl.data"
"""The label of a node that data may be kept on; without any it is the manager that the client asks."""
_HAS_DATA_OF = "stackctl.data."
MAY_HAVE_STANDBY = "stackctl.standby"
"""The label of a node that copies of data may be kept on; without any it is the first one without the data."""
_HAS_STANDBY_OF = "stackctl.standby."
_HOLDS_ALL_OF = "stackctl.holds-all."
HERE = "true"
FENCED = "fenced"
"""The value of the label of a node whose data is given up: nothing runs there on it any more."""


def data_label(project: str) -> str:
    """Name the label of the node that has the data of an instance."""
    return f"{_HAS_DATA_OF}{project}"


def standby_label(project: str) -> str:
    """Name the label of the node that has the copies of the data of an instance."""
    return f"{_HAS_STANDBY_OF}{project}"


def holds_all_label(project: str) -> str:
    """Name the label of a node whose copies have all that was acknowledged, and will have."""
    return f"{_HOLDS_ALL_OF}{project}"


@dataclass(frozen=True)
class Node:
    """A machine of a Swarm. `host`: where its daemon is, for the client; None for the one that the client asks.

    `known`: it is the one that the client asks, or a label of it says where its daemon is. `answers`: the Swarm hears
    of it, and it is `ready` if it takes tasks too. `engine`: its version.
    """

    id: str
    name: str
    address: str
    ready: bool
    host: str | None = None
    known: bool = False
    engine: str = ""
    answers: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)

    def require_known(self) -> None:
        """Raise `node-unreachable` if nothing says where its daemon is."""
        if not self.known:
            raise StackError(
                "node-unreachable",
                f"nothing says how the Docker daemon of the node {self.name} is reached",
                f"say it once: `docker node update --label-add {HOST}=ssh://USER@{self.address} {self.name}`",
            )


@dataclass(frozen=True)
class Cluster:
    """All nodes of a Swarm; `own` is the id of the one that the client asks."""

    nodes: Sequence[Node]
    own: str

    def named(self, node: str) -> Node | None:
        """Find a node by its id."""
        return next((each for each in self.nodes if each.id == node), None)

    @property
    def asked(self) -> Node:
        """The node that the client asks."""
        return next(each for each in self.nodes if each.id == self.own)

    def has_data(self, project: str) -> Node | None:
        """Find the node that has the data of an instance, if an earlier `up` chose one."""
        label = data_label(project)
        found = [each for each in self.nodes if label in each.labels]
        # A failover that was interrupted has named the next one before it forgot the one before.
        return next((each for each in found if each.labels[label] != FENCED), next(iter(found), None))

    def has_standby(self, project: str) -> Node | None:
        """Find the node that has the copies of the data of an instance, if an earlier `up` chose one."""
        return next((each for each in self.nodes if standby_label(project) in each.labels), None)

    def standby_node(self, project: str) -> Node | None:
        """Find the node that has the copies of the data, or is to have them; None if there is none for that.

        A node that is down is left only for one that is ready.
        """
        home, chosen = self.data_node(project), self.has_standby(project)
        if chosen is not None and chosen.ready:
            return chosen
        others = sorted((each for each in self.nodes if each.id != home.id and each.ready), key=lambda each: each.name)
        offered = [each for each in others if MAY_HAVE_STANDBY in each.labels]
        return next(iter(offered or others), chosen)

    def data_node(self, project: str) -> Node:
        """Find the node that has the data of an instance, or is to have it."""
        chosen = self.has_data(project)
        if chosen is not None:
            return chosen
        offered = sorted((each for each in self.nodes if MAY_HAVE_DATA in each.labels), key=lambda each: each.name)
        return next((each for each in offered if each.ready), self.asked)


def read_cluster(nodes: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> Cluster:
    """Interpret the answers of a manager to `/nodes` and `/info`: pure."""
    own = info["Swarm"]["NodeID"]
    return Cluster(tuple(_node(each, each["ID"] == own) for each in nodes), own)


def _node(node: Mapping[str, Any], own: bool) -> Node:
    labels = node["Spec"].get("Labels") or {}
    return Node(
        id=node["ID"],
        name=node["Description"]["Hostname"],
        address=node["Status"].get("Addr", ""),
        ready=node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active",
        answers=node["Status"]["State"] == "ready",
        host=None if own else labels.get(HOST),
        known=own or HOST in labels,
        engine=str((node["Description"].get("Engine") or {}).get("EngineVersion", "")),
        labels=labels,
    )
