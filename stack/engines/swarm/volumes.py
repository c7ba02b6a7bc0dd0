"""Find and delete the volumes of an instance, on the node that has its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO

from stack.copying import FileCopy
from stack.engines.base import Volumes
from stack.engines.docker import arguments, client, resolving
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.swarm import api, machine, render
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.left import await_offline_servers
from stack.engines.swarm.placing import pin_data
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import VolumeId


class SwarmVolumes(Volumes):
    """See `stack.engines.base.Volumes`. They are on the node that has the data; copies are no volumes of their own."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def declared(self) -> Mapping[VolumeId, str]:
        return resolving.volumes(self._instance)

    def existing(self) -> tuple[str, ...]:
        node = self._node()
        return () if node is None else own_volumes(self._instance, node)

    def remove(self, name: str) -> None:
        cluster, project = machine.read(), self._instance.project
        if (node := cluster.has_data(project)) is not None:
            await_offline_servers(self._instance, node)
            remove_volumes(node, [name])
        # What can't be reached now is removed by `reset`, once it is back.
        copies = cluster.has_standby(project)
        if copies is not None and copies.ready and copies.known and name in volume_names(copies, project):
            remove_volumes(copies, [name])

    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.swarm import volume_files

        return volume_files.read(self._instance, self._there(volume, self._node()), volume)

    def write(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.swarm import volume_files

        return volume_files.write(self._instance, self._there(volume, pin_data(self._instance)), volume)

    def _node(self) -> Node | None:
        return machine.read().has_data(self._instance.project)

    def copying(self, source: Instance, volume: VolumeId) -> AbstractContextManager[FileCopy]:
        from stack.engines.swarm import volume_copy

        node = self._there(volume, machine.read().has_data(source.project))
        return volume_copy.copying(source, node, self._instance, volume)

    def _there(self, volume: VolumeId, node: Node | None) -> Node:
        if node is None:
            raise StackError("component-down", f"no node has the data of {volume}", "run `stackctl up` first")
        node.require_known()
        return node


def create_volume(instance: Instance, node: Node, volume: VolumeId) -> str:
    """Make a volume unless it exists, with the labels that Swarm would give it; return its name."""
    store = resolving.volumes(instance)[volume]
    labels = {**render.labels(instance), render.LABEL_NAMESPACE: instance.project}
    client.read([*on_host(node.host), *arguments.create_volume(store, labels)], READ_TIMEOUT)
    return store


def volume_names(node: Node, project: str) -> tuple[str, ...]:
    """List the volumes of an instance on a node. Raises `node-unreachable`."""
    node.require_known()
    try:
        found = api.daemon(node.host).get("/volumes", {"label": [f"{render.LABEL_NAMESPACE}={project}"]})
    except StackError as error:
        raise unreachable(node, error) from error
    return tuple(sorted(each["Name"] for each in found["Volumes"] or ()))


def own_volumes(instance: Instance, node: Node) -> tuple[str, ...]:
    """List those of the node that has the data. Raises `node-unreachable`, with what a standby is for."""
    try:
        return volume_names(node, instance.project)
    except StackError as error:
        copied = next(iter(render.copies(instance).values()), None)
        if copied is None or node.answers:
            raise
        raise error.hinting(f"`stackctl failover {copied}` lets its standby take over; or {error.hint}") from error


def remove_volumes(node: Node, names: Sequence[str]) -> None:
    """Remove volumes of a node that no container uses. Swarm keeps the containers of tasks that ended for a while."""
    if not names:
        return
    node.require_known()
    ended = {"volume": [*names], "status": ["created", "exited", "dead"]}
    found = api.daemon(node.host).get("/containers/json", ended, everything=True)
    if found:
        # Swarm may be about to remove one itself.
        client.run([*on_host(node.host), *arguments.remove_containers([each["Id"] for each in found])], READ_TIMEOUT)
    client.read([*on_host(node.host), *arguments.remove_volumes(names)], READ_TIMEOUT)


def remove_images(node: Node, instance: Instance) -> None:
    """Remove the images of an instance from a node, but those that a container still uses."""
    pattern = f"{instance.registry}/{instance.project}-*" if instance.registry else f"{instance.project}-*"
    names = {"reference": [pattern, f"{instance.project}-volumes"]}
    found = api.daemon(node.host).get("/images/json", names)
    if found:
        client.run([*on_host(node.host), "image", "rm", "--force", *(each["Id"] for each in found)], READ_TIMEOUT)


def unreachable(node: Node, error: StackError) -> StackError:
    state = "" if node.ready else ", and its Swarm says that it is down"
    return StackError(
        "node-unreachable",
        f"the Docker daemon of the node {node.name} does not answer{state}: {error.message}",
        f"bring the node back, and look with `docker {' '.join(on_host(node.host))} version`".replace("  ", " "),
        error.output,
    )
