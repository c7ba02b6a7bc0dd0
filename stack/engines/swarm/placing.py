"""Choose the nodes that have the data of an instance and its copies, and remember that as labels of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stack.engines.base import Machine, Standbys
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.swarm import arguments, machine, observe, render
from stack.engines.swarm.cluster import FENCED, HERE, Cluster, Node, data_label, holds_all_label, standby_label
from stack.errors import StackError
from stack.instance import Instance

_ENDS_WITHIN = 90.0
_POLL = 0.1


def pin_data(instance: Instance, wanted: Node | None = None) -> Node | None:
    """Choose the node that has the data, if there is any: its label says so from then on.

    It is `wanted` unless another one has the data already. Raises `failover-unfinished` if it was given up, and no
    other has taken its place.
    """
    project = instance.project
    # What is off keeps its data, and may come back.
    whole = replace(instance, stack=instance.stack.whole)
    if not any(render.has_data(whole, name) for name in whole.stack.names):
        return None
    cluster = machine.read()
    label = data_label(project)
    node = wanted if wanted is not None and cluster.has_data(project) is None else cluster.data_node(project)
    if node.labels.get(label) == FENCED:
        name = next(iter(render.copies(instance).values()), "NAME")
        raise StackError(
            "failover-unfinished",
            f"the node {node.name} has given up the data of {instance.name}, and no other has taken it over yet",
            f"run `stackctl failover {name}` again; to go back, if its standby was not promoted: "
            f"`docker node update --label-add {label}={HERE} {node.name}`",
        )
    if label not in node.labels:
        _label(node, {label: HERE})
    for each in cluster.nodes:
        if each.id != node.id and label in each.labels:
            _label(each, {label: None})
    return node


def pin_standby(instance: Instance) -> None:
    """Choose the node that has the copies, if there are to be any. What another one had is not up to date any more."""
    project = instance.project
    if not render.copies(instance):
        return
    cluster = machine.read()
    node = cluster.standby_node(project)
    for each in cluster.nodes:
        if node is not None and each.id != node.id:
            _unlabel(each, standby_label(project), holds_all_label(project))
    if node is not None and standby_label(project) not in node.labels:
        _label(node, {standby_label(project): HERE, holds_all_label(project): None})


def forget(cluster: Cluster, project: str) -> None:
    """Remove the labels of an instance from all nodes."""
    for each in cluster.nodes:
        _unlabel(each, data_label(project), standby_label(project), holds_all_label(project))


def _unlabel(node: Node, *labels: str) -> None:
    if any(each in node.labels for each in labels):
        _label(node, dict.fromkeys(labels))


def _label(node: Node, labels: Mapping[str, str | None]) -> None:
    """Change labels of a node in one step; None removes one."""
    known = {name: value for name, value in labels.items() if value is not None or name in node.labels}
    machine.change(arguments.label_node(node.id, known), READ_TIMEOUT)


class SwarmStandbys(Standbys):
    """See `stack.engines.base.Standbys`."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def home(self) -> Machine | None:
        node = machine.read().has_data(self._instance.project)
        return None if node is None else Machine(node.name, node.ready)

    def spare(self) -> Machine | None:
        node = machine.read().has_standby(self._instance.project)
        return None if node is None else Machine(node.name, node.ready)

    def holds_all(self) -> bool:
        node = machine.read().has_standby(self._instance.project)
        return node is not None and holds_all_label(self._instance.project) in node.labels

    def note(self, holds_all: bool) -> None:
        node, label = machine.read().has_standby(self._instance.project), holds_all_label(self._instance.project)
        if node is not None and (label in node.labels) != holds_all:
            _label(node, {label: HERE if holds_all else None})

    def given_up(self) -> bool:
        node, label = machine.read().has_data(self._instance.project), data_label(self._instance.project)
        return node is not None and node.labels[label] == FENCED

    def fence(self, primaries: Sequence[str]) -> None:
        project = self._instance.project
        node = machine.read().has_data(project)
        assert node is not None  # noqa: S101 - there is a standby of what is there
        self._scale(primaries, 0)
        # It may be back in a moment, and must not start them again whatever a command does.
        _label(node, {data_label(project): FENCED})
        self._await_end(primaries)

    def take_over(self, primaries: Sequence[str], standbys: Sequence[str]) -> None:
        project = self._instance.project
        cluster = machine.read()
        old, new = cluster.has_data(project), cluster.has_standby(project)
        assert new is not None  # noqa: S101 - its standby was promoted
        self._scale(standbys, 0)
        self._await_end(standbys)
        # They start with the label, the one step that ends a failover wherever it is interrupted.
        self._scale(primaries, 1)
        _label(new, {data_label(project): HERE, standby_label(project): None, holds_all_label(project): None})
        if old is not None and old.id != new.id:
            _label(old, {data_label(project): None})

    def _scale(self, components: Sequence[str], count: int) -> None:
        counts = {render.service_name(self._instance, name): count for name in components}
        machine.change(arguments.scale(counts), READ_TIMEOUT)

    def _await_end(self, components: Sequence[str]) -> None:
        """Wait until no task of components runs on a node that answers. Raises `not-fenced`."""
        deadline, pause = time.monotonic() + _ENDS_WITHIN, threading.Event()
        while running := self._running(components):
            if time.monotonic() > deadline:
                raise StackError(
                    "not-fenced",
                    f"{', '.join(components)} did not end on the node {running[0].name} within {_ENDS_WITHIN:g} s; "
                    "no standby was promoted beside it",
                    f"stop that node, and run the command again; look at `docker node ps {running[0].name}`",
                )
            pause.wait(_POLL)

    def _running(self, components: Sequence[str]) -> list[Node]:
        label = f"{render.LABEL_NAMESPACE}={self._instance.project}"
        cluster = machine.read()
        services, tasks = machine.listed("/services", label), machine.listed("/tasks", label)
        ids = {
            each["ID"]
            for each in services
            if each["Spec"]["Name"].removeprefix(f"{self._instance.project}_") in components
        }
        nodes = [
            cluster.named(task.get("NodeID", "")) for task in tasks if task["ServiceID"] in ids and observe.runs(task)
        ]
        return [node for node in nodes if node is not None and node.answers]
