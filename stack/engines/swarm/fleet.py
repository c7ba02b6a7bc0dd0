"""Find what a Swarm has of this user's instances, and remove it.

A Swarm also has what was made from other machines, whose state is not here: only what the registry lists is found. It
is asked only if that lists any, so that nothing waits for a Swarm that is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack.engines.docker import answers
from stack.engines.docker.labels import LABEL_STATE
from stack.observed import Found, Resources
from stack.ports import Holder, Listener
from stack.registry import Entry
from stack.workload import PortId

if TYPE_CHECKING:
    from stack.engines.swarm.cluster import Cluster


class SwarmFleet:
    """See `stack.engines.base.Fleet`."""

    name = "swarm"

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        """Return None: its ports are those of nodes, and not of this machine."""
        return None

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        own = [entry for entry in entries if entry.engine == self.name]
        if not own:
            return []
        # Loaded only if there is something to ask for.
        from stack.engines.swarm import machine, volumes

        cluster = machine.read()
        found = []
        for entry in own:
            services, networks, tasks = (
                machine.listed(path, f"com.docker.stack.namespace={entry.project}")
                for path in ("/services", "/networks", "/tasks")
            )
            node = cluster.has_data(entry.project)
            kept = volumes.volume_names(node, entry.project) if node is not None and node.known and node.ready else ()
            if services or networks or kept:
                found.append(_found(entry, cluster, services, networks, tasks, kept))
        return found

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        """Measure nothing: the data is on a node, and `docker system df` takes long there."""
        return {}

    def remove(self, found: Found, data: bool) -> None:
        from stack.engines.swarm import ending, machine, placing, volumes

        if found.resources.containers or found.resources.networks:
            ending.remove_stack(found.project)
        if data:
            cluster = machine.read()
            for node in cluster.nodes:
                if node.known and node.ready:
                    volumes.remove_volumes(node, volumes.volume_names(node, found.project))
            placing.forget(cluster, found.project)

    def untagged(self) -> Mapping[str, str]:
        """Find none: what is built is pushed, and a registry keeps what it has."""
        return {}

    def remove_images(self, images: Sequence[str]) -> None:
        """Remove none, because `untagged` finds none."""


def _found(
    entry: Entry,
    cluster: Cluster,
    services: Sequence[Mapping[str, Any]],
    networks: Sequence[Mapping[str, Any]],
    tasks: Sequence[Mapping[str, Any]],
    kept: Sequence[str],
) -> Found:
    from stack.engines.swarm import observe

    states = [each["Spec"].get("Labels", {}).get(LABEL_STATE) for each in services]
    components = observe.read_services(entry.project, services, tasks)
    published = [port for each in services for port in each["Spec"].get("EndpointSpec", {}).get("Ports", ())]
    numbers = {port["PublishedPort"] for port in published}
    ports: dict[PortId, int] = {id_: number for id_, number in entry.ports.items() if number in numbers}
    addresses = {
        name: node.address
        for name, service in components.items()
        if service.slots and (node := cluster.named(service.slots[0].task.get("NodeID", ""))) is not None
    }
    return Found(
        engine="swarm",
        project=entry.project,
        instance=entry.instance,
        states=tuple(Path(each) for each in dict.fromkeys(states) if each),
        components={name: observe.summary(service) for name, service in components.items()},
        ports=ports,
        addresses=addresses,
        resources=Resources(
            containers=tuple(each["Spec"]["Name"] for each in services),
            networks=tuple(each["Name"] for each in networks),
            volumes=tuple(kept),
        ),
        since=min((made for each in services if (made := answers.time(each["CreatedAt"]))), default=None),
    )
