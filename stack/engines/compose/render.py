"""Turn an instance into a Docker Compose project: pure, the same text for the same instance.

What every service gets (no capabilities, a read-only root, limits, …) is what `Hardening` has by default; each
exception is a field of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stack.engines.compose import remote
from stack.engines.docker import sections
from stack.engines.docker.labels import LABEL_DECLARATION, LABEL_INSTANCE, LABEL_ONCE, LABEL_STATE
from stack.engines.docker.networks import Network, joined, plan_networks
from stack.engines.docker.resolving import build_of, literal, workload_of
from stack.fields import fingerprint
from stack.instance import Instance
from stack.pins import pinned
from stack.workload import Mount, Restart, Volume, Workload

# In place of `LABEL_STATE` on a server, where that folder is not.
LABEL_REMOTE_STATE = "stackctl.remote-state"
# What Compose calls the end of one with 0.
_DONE = "service_completed_successfully"
# Compose puts this label on everything that it creates; it identifies an instance whose state is lost.
LABEL_PROJECT = "com.docker.compose.project"
LABEL_SERVICE = "com.docker.compose.service"
# What Compose passes over: the digest of each file, with which another content makes another container.
_CONTENTS = "x-content"
# What is stopped by a command stays so when the daemon starts again.
_RESTARTS: Mapping[Restart, str] = {"always": "unless-stopped", "on-failure": "on-failure", "no": "no"}
# Paths of files of the state, which may be moved; and the number of replicas, which is part of none of them.
_NO_FIELDS = ("build.dockerfile", "env_file", "scale")


def render(instance: Instance, checked: bool = True) -> str:
    """Return the text of `compose.yaml`; if not `checked`, Docker checks the health of nothing."""
    from stack.engines.docker.project_text import write_project

    project = _project(instance)
    if not checked:
        for service in project["services"].values():
            service["healthcheck"] = {"disable": True}
    text = write_project(project)
    return f"# Made by stackctl from the stack {instance.stack.name!r}; `stackctl up` rewrites it.\n{text}"


def fields(instance: Instance) -> dict[str, dict[str, str]]:
    """Return the declaration of each service, field by field, as its container is made from it."""
    on = joined(plan_networks(instance.stack))
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    return {
        name: _fields(instance, workload, _service(instance, name, workload, on[name]))
        for name, workload in workloads.items()
    }


def networks(instance: Instance) -> frozenset[str]:
    """Return Docker's names of the networks of the instance."""
    return frozenset(f"{instance.project}_{name}" for name in plan_networks(instance.stack))


def images(instance: Instance) -> dict[str, str]:
    """Map each component to its image; Compose chooses the name of one that it builds."""
    return {name: _image(instance, name, workload_of(instance, name)) for name in instance.stack.names}


def _image(instance: Instance, name: str, workload: Workload) -> str:
    if workload.image is not None:
        return pinned(workload.image, instance.pins)
    return f"{instance.project}-{workload.image_of or name}"


def _fields(instance: Instance, workload: Workload, service: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a service to what makes another container of it; with `***` for each secret.

    The paths of files of the state may change with a move of it, and a job that it waits for may be a new one.
    """
    files = {"configs": [each["target"] for each in service["configs"]]} if "configs" in service else {}
    contents = {"content": service[_CONTENTS]} if _CONTENTS in service else {}
    shown = {name: value for name, value in service.items() if name != _CONTENTS} | files | contents
    waits = {name: how for name, how in shown.pop("depends_on", {}).items() if how["condition"] != _DONE}
    if waits:
        shown["depends_on"] = waits
    return sections.declared_fields(instance, workload, shown, _NO_FIELDS)


def _project(instance: Instance) -> dict[str, Any]:
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    volumes = [instance.store_name(volume) for workload in workloads.values() for volume in workload.volumes]
    secrets = instance.secret_files("container")
    networks = plan_networks(instance.stack)
    on = joined(networks)
    project: dict[str, Any] = {
        "name": instance.project,
        "services": {
            name: _marked(instance, name, workload, _service(instance, name, workload, on[name]))
            for name, workload in workloads.items()
        },
        "networks": {name: _network(instance, network) for name, network in networks.items()},
    }
    if instance.host is not None:
        project["volumes"] = {name: {"labels": _labels(instance)} for name in volumes} | remote.declared(instance)
        return project
    if files := [file for workload in workloads.values() for file in workload.files]:
        project["configs"] = {file.name: {"file": literal(str(instance.config_file(file)))} for file in files}
    if volumes:
        project["volumes"] = {name: {"labels": _labels(instance)} for name in volumes}
    if secrets:
        project["secrets"] = {name: {"file": literal(str(instance.secret_file(name)))} for name in secrets}
    return project


def _network(instance: Instance, network: Network) -> dict[str, Any]:
    # A container on internal networks alone can't publish a port (moby/moby#36174).
    internal = {"internal": True} if network.internal else {}
    return {"driver": "bridge", **internal, "labels": _labels(instance)}


def _service(instance: Instance, name: str, workload: Workload, networks: list[str]) -> dict[str, Any]:
    awaited = instance.stack.order.awaits(name)
    hardening, service = workload.hardening, dict[str, Any]()
    if workload.image is not None or workload.image_of is not None:
        service["image"] = _image(instance, name, workload)
    else:
        service["build"] = build_of(instance, name)
    service |= sections.started(instance, workload)
    if plain := sections.plain_variables(instance, workload):
        service["environment"] = plain
    if workload.given_environment:
        service["env_file"] = [literal(str(instance.variables_file(name)))]
    if awaited:
        service["depends_on"] = {each: {"condition": _condition(instance, each)} for each in awaited}
    if workload.published:
        address = f"{_published_on(instance)}:"
        service["ports"] = [
            f"{'' if port.public else address}{instance.ports[port.id]}:{port.on_network.removesuffix('/tcp')}"
            for port in workload.published
        ]
    service |= sections.surrounded(workload)
    service["networks"] = sections.on_networks(networks, workload.hostname)
    if mounted := _mounts(instance, workload):
        service["volumes"] = mounted
    if workload.secrets:
        service["secrets"] = [secret.id for secret in workload.secrets]
    if workload.files:
        service["configs"] = [{"source": file.name, "target": file.target} for file in workload.files]
    if tracked := [file for file in workload.files if file.tracked]:
        service[_CONTENTS] = {file.source or file.name: instance.content_digest(file) for file in tracked}
    if workload.healthcheck is not None:
        service["healthcheck"] = sections.healthcheck(workload.healthcheck, workload.healthcheck.start_period)
    if workload.stop_signal is not None:
        service["stop_signal"] = f"SIG{workload.stop_signal}"
    if hardening.shm is not None:
        service["shm_size"] = f"{hardening.shm}m"
    service |= sections.limited(workload)
    if workload.replicas > 1:
        service["scale"] = workload.replicas
    return service | {
        "restart": _RESTARTS[workload.restart],
        "stop_grace_period": f"{workload.stop_grace}s",
        "read_only": hardening.read_only,
        "tmpfs": list(hardening.tmpfs),
        **sections.capabilities(workload),
        "security_opt": [] if hardening.new_privileges else ["no-new-privileges:true"],
        "mem_limit": f"{workload.limits.memory}m",
        "cpus": workload.limits.cpus,
        "pids_limit": workload.limits.pids,
        "logging": sections.LOGGING,
        "labels": sections.labels_of(workload) | _marks(instance, workload),
    }


def _published_on(instance: Instance) -> str:
    """Return the address that ports are published on, of this machine or of a server."""
    return "127.0.0.1" if instance.host is None else remote.address(instance.project)


def _marks(instance: Instance, workload: Workload) -> dict[str, str]:
    return _labels(instance) | ({} if workload.once is None else {LABEL_ONCE: "true"})


def _mounts(instance: Instance, workload: Workload) -> list[str | dict[str, Any]]:
    owned = workload.hardening.owner is not None
    volumes = [_mount(instance, volume, owned and volume.owned) for volume in workload.volumes]
    return [*volumes, *(mount for each in workload.hardening.mounts for mount in _bind(instance, each))]


def _bind(instance: Instance, mount: Mount) -> Iterator[dict[str, Any]]:
    """Mount a folder of the project, and cover the states of its instances, which have their secrets."""
    source = instance.path(mount.source)
    yield {
        "type": "bind",
        "source": literal(str(source)),
        "target": mount.target,
        **({} if mount.writable else {"read_only": True}),
        "bind": {"create_host_path": False},
    }
    states = instance.state.parent
    if states.is_relative_to(source):
        covered = f"{mount.target}/{states.relative_to(source).as_posix()}"
        yield {"type": "tmpfs", "target": literal(covered), "read_only": True}


def _mount(instance: Instance, volume: Volume, owned: bool) -> str | dict[str, Any]:
    """Mount a volume. Docker gives an empty one what its image has there, and its owner, unless it is owned."""
    store = instance.store_name(volume)
    if not owned:
        return f"{store}:{volume.target}{':ro' if volume.read_only else ''}"
    read_only = {"read_only": True} if volume.read_only else {}
    return {"type": "volume", "source": store, "target": volume.target, **read_only, "volume": {"nocopy": True}}


def _marked(instance: Instance, name: str, workload: Workload, service: dict[str, Any]) -> dict[str, Any]:
    declaration = fingerprint(_fields(instance, workload, service))
    marked = service | {"labels": service["labels"] | {LABEL_DECLARATION: declaration}}
    return marked if instance.host is None else remote.mounted(instance, name, workload, marked)


def _condition(instance: Instance, needed: str) -> str:
    """Wait for the end of what ends, else for health if the stack declares the check; an app's image may have none."""
    workload = workload_of(instance, needed)
    if workload.once is not None:
        return _DONE
    check = workload.healthcheck
    return "service_healthy" if check is not None and check.test else "service_started"


def labels(instance: Instance) -> dict[str, str]:
    """Return the labels of all that belongs to an instance."""
    return {LABEL_INSTANCE: instance.name, state_label(instance.host): str(instance.state)}


def state_label(host: str | None) -> str:
    """Return the label with the state of an instance on a server, or on this machine."""
    return LABEL_STATE if host is None else LABEL_REMOTE_STATE


def _labels(instance: Instance) -> dict[str, str]:
    return {name: literal(value) for name, value in labels(instance).items()}
