"""Turn an instance into a stack file for `docker stack deploy`: pure, the same text for the same instance.

It holds no secret: the values of variables with one stand in the environment of the client, see `given`, and those in
files are Swarm's own objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from stack.engines.docker import sections
from stack.engines.docker.labels import LABEL_DECLARATION, LABEL_INSTANCE, LABEL_ONCE, LABEL_STATE
from stack.engines.docker.networks import Network, joined, plan_networks
from stack.engines.docker.resolving import literal, workload_of
from stack.engines.swarm.cluster import HERE, data_label, standby_label
from stack.engines.swarm.objects import Carried, Place, carried_files, carried_secrets
from stack.fields import fingerprint
from stack.instance import Instance
from stack.pins import pinned
from stack.workload import Healthcheck, Port, Restart, Workload

# Docker puts this label on all that belongs to a stack.
LABEL_NAMESPACE = "com.docker.stack.namespace"
_VERSION = "3.13"
_RESTARTS: Mapping[Restart, str] = {"always": "any", "on-failure": "on-failure", "no": "none"}
_SHM = "/dev/shm"  # noqa: S108 - in the container
# What can be stopped and started again within that has no data, and Swarm replaces it if it does not get healthy.
_APP_STARTS_WITHIN = 120.0
_WATCHED = "5s"
# Paths of files of the state, the number of replicas, and how one is replaced, which is part of none of them.
_NO_FIELDS = ("deploy.replicas",)


def render(
    instance: Instance, place: Place, names: Collection[str] | None = None, *, configs_made: bool = False
) -> str:
    """Return the text of the stack file, of all components or of some.

    With `configs_made` it names the configs that were made, and not their files, which may change.
    """
    from stack.engines.docker.project_text import write_project

    wanted = instance.stack.names if names is None else names
    text = write_project(_stack(instance, place, wanted, configs_made))
    return f"# Made by stackctl from the stack {instance.stack.name!r}; `stackctl up` rewrites it.\n{text}"


def fields(instance: Instance, place: Place) -> dict[str, dict[str, str]]:
    """Return the declaration of each service, field by field, as its tasks are made from it."""
    services = _services(instance, place, instance.stack.names)
    return {name: _fields(instance, place, name, service) for name, service in services.items()}


def service_name(instance: Instance, component: str) -> str:
    return f"{instance.project}_{component}"


def networks(instance: Instance) -> frozenset[str]:
    """Return Docker's names of the networks of the instance."""
    return frozenset(docker_network(instance, name) for name in plan_networks(instance.stack))


def docker_network(instance: Instance, name: str) -> str:
    return f"{instance.project}_{_network_name(name)}"


def image(instance: Instance, place: Place, component: str) -> str:
    """Return the image of a component: one that is built is named by its digest."""
    workload = workload_of(instance, component)
    if workload.image is not None:
        return pinned(workload.image, instance.pins)
    owner = workload.image_of or component
    return place.images.get(owner, repository(instance, owner))


def repository(instance: Instance, component: str) -> str:
    """Name the repository that the image of a component is pushed to."""
    name = f"{instance.project}-{component}"
    return f"{instance.registry}/{name}" if instance.registry else name


def given(instance: Instance) -> dict[tuple[str, str], str]:
    """Name the variable of the client that has the value of each variable with a secret or a parameter."""
    declared = [
        (name, variable) for name in instance.stack.names for variable in workload_of(instance, name).given_environment
    ]
    return {each: f"STACKCTL_{number}_{re.sub(r'[^A-Za-z0-9]', '_', each[1])}" for number, each in enumerate(declared)}


def has_data(instance: Instance, component: str) -> bool:
    """Say whether a component keeps something on the disk of its node that is on no other."""
    workload = workload_of(instance, component)
    return bool(workload.volumes) and workload.copy_of is None


def copies(instance: Instance) -> dict[str, str]:
    """Name each component that keeps a copy of the data of another, and that one."""
    found = {name: workload_of(instance, name).copy_of for name in instance.stack.names}
    return {name: of for name, of in found.items() if of is not None}


def _fields(instance: Instance, place: Place, name: str, service: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a service to what makes other tasks of it; with `***` for each secret.

    The names of the objects with its files say what is in these.
    """
    workload = workload_of(instance, name)
    shown = {key: value for key, value in service.items() if key not in ("secrets", "logging")}
    if "configs" in service:
        shown["configs"] = {
            target: carried.name for carried, target, _ in carried_files(instance, place, name).values()
        }
    if workload.secrets:
        shown["secrets"] = [secret.id for secret in workload.secrets]
    if workload.image is None:
        # Of what is built the sources say what changed, and the digest is known only afterwards.
        del shown["image"]
    return sections.declared_fields(instance, workload, shown, _NO_FIELDS)


def _stack(instance: Instance, place: Place, names: Collection[str], configs_made: bool) -> dict[str, Any]:
    planned = plan_networks(instance.stack)
    on = joined(planned)
    wanted = [name for name in instance.stack.names if name in names]
    used = {network for name in wanted for network in on[name]}
    workloads = {name: workload_of(instance, name) for name in wanted}
    stores = dict.fromkeys(instance.store_name(volume) for each in workloads.values() for volume in each.volumes)
    secrets = carried_secrets(instance, place)
    read = dict.fromkeys(secret.id for each in workloads.values() for secret in each.secrets if secret.id in secrets)
    files = {key: carried for name in wanted for key, (carried, _, _) in carried_files(instance, place, name).items()}
    labels = _labels(instance)
    stack: dict[str, Any] = {
        "version": _VERSION,
        "services": {
            name: _marked(instance, place, name, _service(instance, place, name, on[name])) for name in wanted
        },
        "networks": {
            _network_name(name): _network(network, labels) for name, network in planned.items() if name in used
        },
    }
    if files:
        stack["configs"] = {
            key: {"name": each.name, "external": True} if configs_made else _object(each, labels)
            for key, each in files.items()
        }
    if read:
        stack["secrets"] = {id_: _object(secrets[id_], labels) for id_ in read}
    if stores:
        stack["volumes"] = {store: {"name": f"{instance.project}_{store}", "labels": labels} for store in stores}
    return stack


def _object(carried: Carried, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"name": carried.name, "file": literal(str(carried.path)), "labels": labels}


def _network(network: Network, labels: Mapping[str, str]) -> dict[str, Any]:
    # What runs beside the services, such as a command of `run`, joins it too.
    internal = {"internal": True} if network.internal else {}
    return {"driver": "overlay", **internal, "attachable": True, "labels": labels}


def _network_name(name: str) -> str:
    """Write the name of a network as Swarm takes it; no component has an underscore."""
    return name.replace(".", "_")


def _services(instance: Instance, place: Place, names: Collection[str]) -> dict[str, dict[str, Any]]:
    on = joined(plan_networks(instance.stack))
    return {name: _service(instance, place, name, on[name]) for name in names}


def _service(instance: Instance, place: Place, name: str, networks: Sequence[str]) -> dict[str, Any]:
    workload = workload_of(instance, name)
    hardening = workload.hardening
    service: dict[str, Any] = {"image": image(instance, place, name)}
    service |= sections.started(instance, workload)
    if environment := _environment(instance, name, workload):
        service["environment"] = environment
    if workload.published:
        service["ports"] = [_port(instance, place, port) for port in workload.published]
    service |= sections.surrounded(workload)
    service["networks"] = sections.on_networks([_network_name(each) for each in networks], workload.hostname)
    if mounted := [*_mounts(instance, workload)]:
        service["volumes"] = mounted
    if workload.secrets:
        service["secrets"] = [{"source": secret.id, "target": secret.id} for secret in workload.secrets]
    if files := carried_files(instance, place, name):
        service["configs"] = [
            {"source": key, "target": target, "mode": mode} for key, (_, target, mode) in files.items()
        ]
    if workload.healthcheck is not None:
        service["healthcheck"] = _healthcheck(workload.healthcheck, bool(workload.volumes))
    if workload.stop_signal is not None:
        service["stop_signal"] = f"SIG{workload.stop_signal}"
    service |= sections.limited(workload)
    return service | {
        "stop_grace_period": f"{workload.stop_grace}s",
        "read_only": hardening.read_only,
        **sections.capabilities(workload),
        "deploy": _deploy(instance, place, workload),
        "logging": sections.LOGGING,
        "labels": sections.labels_of(workload),
    }


def _environment(instance: Instance, name: str, workload: Workload) -> dict[str, str]:
    plain = sections.plain_variables(instance, workload)
    names = given(instance) if workload.given_environment else {}
    return plain | {variable: f"${{{names[name, variable]}}}" for variable in workload.given_environment}


def _deploy(instance: Instance, place: Place, workload: Workload) -> dict[str, Any]:
    limits = workload.limits
    # Not as a job of Swarm's own, which can't be stopped without losing its log, and which a lost node runs again.
    deploy: dict[str, Any] = {"replicas": workload.replicas}
    if workload.once is None:
        order = "start-first" if _can_overlap(place, workload) else "stop-first"
        changing = {"parallelism": 1, "order": order, "monitor": _WATCHED}
        deploy |= {
            "update_config": {**changing, "failure_action": "rollback"},
            "rollback_config": {**changing, "failure_action": "pause"},
            "restart_policy": {"condition": _RESTARTS[workload.restart], "delay": "1s"},
        }
    else:
        deploy["restart_policy"] = {"condition": "none"}
    if not place.mesh:
        deploy["endpoint_mode"] = "dnsrr"
    if workload.volumes:
        label = standby_label if workload.copy_of else data_label
        deploy["placement"] = {"constraints": [f"node.labels.{label(instance.project)} == {HERE}"]}
    else:
        deploy["placement"] = {"preferences": [{"spread": "node.id"}]}
    cpus, memory = f"{limits.cpus:g}", f"{limits.memory}M"
    return deploy | {"resources": {"limits": {"cpus": cpus, "memory": memory, "pids": limits.pids}}}


def _can_overlap(place: Place, workload: Workload) -> bool:
    """Say whether a new task may run beside the one that it replaces."""
    if workload.singleton or workload.volumes:
        return False
    # Without the mesh a port is one of the node, and the old task has it.
    return place.mesh or not workload.published


def _port(instance: Instance, place: Place, port: Port) -> dict[str, Any]:
    return {
        "target": port.number,
        "published": instance.ports[port.id],
        "protocol": "udp" if port.udp else "tcp",
        "mode": "ingress" if place.mesh else "host",
    }


def _mounts(instance: Instance, workload: Workload) -> Iterator[dict[str, Any]]:
    owned = workload.hardening.owner is not None
    for volume in workload.volumes:
        yield {
            "type": "volume",
            "source": instance.store_name(volume),
            "target": volume.target,
            **({"read_only": True} if volume.read_only else {}),
            **({"volume": {"nocopy": True}} if owned and volume.owned else {}),
        }
    for folder in workload.hardening.tmpfs:
        yield {"type": "tmpfs", "target": folder.partition(":")[0]}
    if workload.hardening.shm is not None:
        yield {"type": "tmpfs", "target": _SHM, "tmpfs": {"size": workload.hardening.shm * 2**20}}


def _marked(instance: Instance, place: Place, name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    """Label what a service's tasks are made from, and whose the service is."""
    once = {} if workload_of(instance, name).once is None else {LABEL_ONCE: "true"}
    own = {LABEL_DECLARATION: fingerprint(_fields(instance, place, name, service))} | once
    deploy = {**service["deploy"], "labels": _labels(instance) | once}
    return {**service, "labels": service["labels"] | own, "deploy": deploy}


def _healthcheck(check: Healthcheck, has_data: bool) -> dict[str, Any]:
    """Render a health check.

    A task that is not healthy in time is replaced. An app is given less time than a database, which may recover.
    """
    period = check.start_period if has_data else min(check.start_period, _APP_STARTS_WITHIN)
    return sections.healthcheck(check, period)


def labels(instance: Instance) -> dict[str, str]:
    """Return the labels of all that belongs to an instance."""
    return {LABEL_INSTANCE: instance.name, LABEL_STATE: str(instance.state)}


def _labels(instance: Instance) -> dict[str, str]:
    return {name: literal(value) for name, value in labels(instance).items()}
