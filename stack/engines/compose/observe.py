"""Read the state of a project's components from what `docker inspect` prints: pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stack.engines.compose import render
from stack.engines.docker import answers, resolving
from stack.engines.docker.labels import LABEL_DECLARATION, LABEL_ONCE
from stack.instance import Instance
from stack.observed import ComponentState, Observed, together
from stack.pins import pinned
from stack.workload import Port, PortId

_IMAGE_LABEL = "com.docker.compose.image"
_NUMBER_LABEL = "com.docker.compose.container-number"


def observed(instance: Instance, objects: Sequence[Mapping[str, Any]]) -> Observed:
    """Return what exists of an instance; `objects` are its containers, images and volumes, in any order."""
    containers = [entry for entry in objects if "State" in entry]
    images = {name: entry["Id"] for entry in objects for name in answers.names(entry)}
    wanted = {name: answers.tagged(image) for name, image in render.images(instance).items()}
    mounted = frozenset(name for container in containers for name in _mounted(container, instance.project))
    return Observed(
        _states(instance, containers),
        images={name: images[tag] for name, tag in wanted.items() if tag in images},
        stores=mounted.union(entry["Name"] for entry in objects if "Mountpoint" in entry),
        mounted=mounted,
        moved=tuple(_moved(instance, images)),
    )


def _moved(instance: Instance, images: Mapping[str, str]) -> Iterator[str]:
    """Name the images whose tag stands here for another version than the one that is pinned."""
    for image in instance.pins:
        pin, tag = answers.tagged(pinned(image, instance.pins)), answers.tagged(image)
        if tag in images and images[tag] != images.get(pin):
            yield image


def _states(instance: Instance, containers: Sequence[Mapping[str, Any]]) -> dict[str, ComponentState]:
    """Return the state of each component, in the order of the declaration; those no longer declared come last."""
    order = {name: position for position, name in enumerate(instance.stack.names)}
    replicas: dict[str, dict[int, ComponentState]] = {}
    for container in containers:
        name, state = _component_state(instance, container)
        # While Compose replaces a container, there are two of one number.
        replicas.setdefault(name, {})[state.number] = state
    states = {name: together(each.values(), instance.stack.replicas(name)) for name, each in replicas.items()}
    return dict(sorted(states.items(), key=lambda item: order.get(item[0], len(order))))


def _component_state(instance: Instance, container: Mapping[str, Any]) -> tuple[str, ComponentState]:
    """Return the service of a container and its state."""
    state, labels = container["State"], container["Config"]["Labels"]
    name = labels[render.LABEL_SERVICE]
    declared = resolving.workload_of(instance, name).ports if name in instance.stack.names else ()
    health = state.get("Health") or {}
    log = health.get("Log") or []
    return name, ComponentState(
        id=container["Id"],
        state=state["Status"],
        health=answers.health(state["Status"], health.get("Status")),
        restarts=container["RestartCount"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        since=answers.time(state["StartedAt"]),
        image=container["Config"]["Image"],
        ports=port_ids(name, declared, answers.bindings(container)),
        health_output=log[-1].get("Output", "").strip() if log else "",
        process=state["Pid"] or None,
        memory_limit=container["HostConfig"]["Memory"] or None,
        declaration=labels.get(LABEL_DECLARATION, ""),
        image_id=labels.get(_IMAGE_LABEL, container["Image"]),
        live=_live(container),
        health_at=answers.time(log[-1]["Start"]) if log else None,
        number=int(labels.get(_NUMBER_LABEL, 1)),
        once=LABEL_ONCE in labels,
        ended=answers.time(state["FinishedAt"]) if LABEL_ONCE in labels else None,
    )


def port_ids(component: str, declared: Sequence[Port], bindings: Mapping[str, int]) -> dict[PortId, int]:
    """Name the ports that a container publishes, in the order of the declaration.

    A container that was made before its declaration changed may publish a port with an undeclared number: it gets the
    name of a declared port that the container does not publish, or else one made of its number.
    """
    ids = {port.on_network: port.id for port in declared if port.on_network in bindings}
    unused = [port.id for port in declared if port.publish is not None and port.on_network not in bindings]
    if not declared:
        unused.append(PortId.of(component))
    for number in bindings:
        if number not in ids:
            ids[number] = unused.pop(0) if unused else PortId.of(component, number.removesuffix("/tcp"))
    return {id_: bindings[number] for number, id_ in ids.items()}


def _live(container: Mapping[str, Any]) -> dict[str, str]:
    """Return what can change without a new container (by `docker update`, `docker network disconnect`), as rendered."""
    host = container["HostConfig"]
    project = container["Config"]["Labels"].get(render.LABEL_PROJECT, "")
    networks = sorted(name.removeprefix(f"{project}_") for name in container["NetworkSettings"]["Networks"])
    return {
        "mem_limit": f"{host['Memory'] // 2**20}m",
        "cpus": f"{host['NanoCpus'] / 1e9:g}",
        "pids_limit": str(host["PidsLimit"]),
        "restart": host["RestartPolicy"]["Name"],
        "networks": shlex.join(networks),
    }


def _mounted(container: Mapping[str, Any], project: str) -> list[str]:
    """List the project's volumes that a container mounts, also if the container is no longer declared."""
    return [name for name in answers.volumes(container) if name.startswith(f"{project}_")]
