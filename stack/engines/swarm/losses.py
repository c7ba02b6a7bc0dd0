"""Say what of a declaration a Swarm does not do, where data lives, and what is different there: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stack.engines.docker.resolving import workload_of
from stack.engines.swarm import render
from stack.engines.swarm.cluster import Cluster
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import HOST_GATEWAY, Hardening

_LONGEST_SERVICE = 63


def losses(instance: Instance) -> tuple[str, ...]:
    """Name what is declared and lost, of all components together: what several lose alike is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in instance.stack.names:
        for lost in _lost(workload_of(instance, name).hardening):
            found.setdefault(lost, []).append(name)
    return tuple(f"{', '.join(names)}/{field}: {what}" for (field, what), names in found.items())


def _lost(hardening: Hardening) -> Iterator[tuple[str, str]]:
    """Yield each field of a component that a Swarm does not do, and what that means."""
    if hardening.mounts:
        sources = ", ".join(each.source for each in hardening.mounts)
        yield "mounts", f"{sources} of this machine is on no other; it runs what is in its image"
    if HOST_GATEWAY in hardening.extra_hosts.values():
        yield "extra_hosts", f"{HOST_GATEWAY} is the node that a task is on, and not this machine"
    if folders := [each.partition(":")[0] for each in hardening.tmpfs if ":" in each]:
        yield "tmpfs", f"{', '.join(folders)} belongs to the user that the image gives it to, and not to all"


def notices(instance: Instance, mesh: bool) -> tuple[str, ...]:
    """Say what is less isolated there than on one machine."""
    published = [name for name in instance.stack.names if workload_of(instance, name).published]
    said = [
        "a Swarm can't keep a process from gaining privileges by a setuid program; it has no capabilities all the same"
    ]
    if published:
        where = "of every node, by the routing mesh" if mesh else "of the nodes that its tasks are on (host mode)"
        said.insert(0, f"{', '.join(published)}: published on every address {where}")
    return tuple(said)


def placement(instance: Instance, cluster: Cluster) -> tuple[str, ...]:
    """Say where the data of an instance is, or will be."""
    kept = [name for name in instance.stack.names if render.has_data(instance, name)]
    if not kept:
        return ()
    node = cluster.data_node(instance.project)
    there = cluster.has_data(instance.project) is not None
    lives = "lives" if there else "will live"
    copied = render.copies(instance)
    alone = [name for name in kept if name not in copied.values()]
    said = []
    if copied:
        said += [f"the data of {', '.join(copied.values())} {lives} on the node {node.name}"]
        said += [_standby_words(instance, cluster, copied)]
    if alone:
        said += [f"the data of {', '.join(alone)} {lives} on the node {node.name}, which takes it along if it is lost"]
    return tuple(said)


def _standby_words(instance: Instance, cluster: Cluster, copied: Mapping[str, str]) -> str:
    """Say where the copies of the data are, or will be."""
    names, node = ", ".join(copied), cluster.standby_node(instance.project)
    before = cluster.has_standby(instance.project)
    if node is None or not node.ready:
        return f"{names} can't run: there is no second node that is ready"
    if before is None:
        return f"{names} will follow on the node {node.name}"
    if before.id == node.id:
        return f"{names} follows on the node {node.name}"
    return f"{names} will follow on the node {node.name}, with a new copy of all data, because {before.name} is down"


def check(instance: Instance) -> None:
    """Raise if the instance can't be made on any Swarm: nothing can be pulled, or a name is too long."""
    built = [name for name in instance.stack.names if instance.source(name) is not None]
    if built and not instance.registry:
        are = "is" if len(built) == 1 else "are"
        raise StackError(
            "registry-missing",
            f"{', '.join(built)} {are} built, and the nodes of a Swarm pull images from a registry",
            "name one that the nodes reach: Stack(…, registry='registry.example.com/team'), or STACKCTL_REGISTRY",
        )
    for name in instance.stack.names:
        service = render.service_name(instance, name)
        if len(service) > _LONGEST_SERVICE:
            raise StackError(
                "name-too-long",
                f"a Swarm would call {name} {service!r}, and takes {_LONGEST_SERVICE} letters at most",
                "give the stack, the instance or the component a shorter name",
            )
