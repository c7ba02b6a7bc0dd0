"""Turn an instance into a Docker Compose project: pure, the same text for the same instance.

What every service gets (no capabilities, a read-only root, limits, …) is what `Hardening` has by default; each
exception is a field of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stack.engines.compose import remote
from stack.engines.docker.networks import Network, plan_networks
from stack.engines.docker.resolving import build_of, literal, resolve, workload_of
from stack.fields import fingerprint, flatten
from stack.instance import Instance
from stack.pins import pinned
from stack.workload import Healthcheck, Mount, Restart, Volume, VolumeId, Workload

LABEL_INSTANCE = "stackctl.instance"
LABEL_STATE = "stackctl.state"
# In place of the former on a server, where that folder is not.
LABEL_REMOTE_STATE = "stackctl.remote-state"
# The fingerprint of what a container was made from.
LABEL_DECLARATION = "stackctl.declaration"
# Of a container that has to end.
LABEL_ONCE = "stackctl.once"
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


def render(instance: Instance) -> str:
    """Return the text of `compose.yaml`."""
    from stack.engines.docker.project_text import write_project

    text = write_project(_project(instance))
    return f"# Made by stackctl from the stack {instance.stack.name!r}; `stackctl up` rewrites it.\n{text}"


def fields(instance: Instance) -> dict[str, dict[str, str]]:
    """Return the declaration of each service, field by field, as its container is made from it."""
    joined = _joined(plan_networks(instance.stack))
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    return {
        name: _fields(instance, workload, _service(instance, name, workload, joined[name]))
        for name, workload in workloads.items()
    }


def networks(instance: Instance) -> frozenset[str]:
    """Return Docker's names of the networks of the instance."""
    return frozenset(f"{instance.project}_{name}" for name in plan_networks(instance.stack))


def volumes(instance: Instance) -> dict[VolumeId, str]:
    """Map each volume to Docker's name for it."""
    return {
        volume.id: f"{instance.project}_{instance.store_name(volume)}"
        for name in instance.stack.names
        for volume in workload_of(instance, name).volumes
    }


def images(instance: Instance) -> dict[str, str]:
    """Map each component to its image; Compose chooses the name of one that it builds."""
    return {name: _image(instance, name, workload_of(instance, name)) for name in instance.stack.names}


def _image(instance: Instance, name: str, workload: Workload) -> str:
    if workload.image is not None:
        return pinned(workload.image, instance.pins)
    return f"{instance.project}-{workload.image_of or name}"


def _fields(instance: Instance, workload: Workload, service: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a service to what makes another container of it; with `***` for each secret.

    The paths of files of the state may change with a move of it, and a job that it waits for may be a new one. The
    settings of its command stand for the command. Of its networks the names count, as the engine tells them.
    """
    service = {**service, "networks": list(service["networks"])}
    given = {variable: resolve(instance, value) for variable, value in workload.given_environment.items()}
    if given:
        environment = service.get("environment", {}) | {name: literal(text) for name, text in given.items()}
        service = {**service, "environment": environment}
    if workload.settings:
        service = {**service, "settings": dict(workload.settings)}
        del service["command"]
    files = {"configs": [each["target"] for each in service["configs"]]} if "configs" in service else {}
    contents = {"content": service[_CONTENTS]} if _CONTENTS in service else {}
    shown = {name: value for name, value in service.items() if name != _CONTENTS} | files | contents
    waits = {name: how for name, how in shown.pop("depends_on", {}).items() if how["condition"] != _DONE}
    if waits:
        shown["depends_on"] = waits
    declared = {name: text for name, text in flatten(shown).items() if name not in _NO_FIELDS}
    return {name: text.replace("$$", "$") for name, text in declared.items()}


def _project(instance: Instance) -> dict[str, Any]:
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    volumes = [instance.store_name(volume) for workload in workloads.values() for volume in workload.volumes]
    secrets = instance.secret_files("container")
    networks = plan_networks(instance.stack)
    joined = _joined(networks)
    project: dict[str, Any] = {
        "name": instance.project,
        "services": {
            name: _marked(instance, name, workload, _service(instance, name, workload, joined[name]))
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


def _joined(networks: Mapping[str, Network]) -> Mapping[str, list[str]]:
    """Return the names of the networks that each component is on, in alphabetical order."""
    joined: dict[str, list[str]] = {}
    for name in sorted(networks):
        for member in networks[name].members:
            joined.setdefault(member, []).append(name)
    return joined


def _network(instance: Instance, network: Network) -> dict[str, Any]:
    # A container on internal networks alone can't publish a port (moby/moby#36174).
    internal = {"internal": True} if network.internal else {}
    return {"driver": "bridge", **internal, "labels": _labels(instance)}


def _service(instance: Instance, name: str, workload: Workload, networks: list[str]) -> dict[str, Any]:
    awaited = instance.stack.order.awaits(name)
    service: dict[str, Any] = {}
    if workload.image is not None or workload.image_of is not None:
        service["image"] = _image(instance, name, workload)
    else:
        service["build"] = build_of(instance, name)
    if workload.init:
        service["init"] = True
    if workload.entrypoint is not None:
        service["entrypoint"] = [literal(resolve(instance, word)) for word in workload.entrypoint]
    if workload.words is not None:
        service["command"] = [literal(resolve(instance, word)) for word in workload.words]
    hardening = workload.hardening
    if hardening.user is not None:
        service["user"] = hardening.user
    if workload.plain_environment:
        service["environment"] = {
            variable: literal(resolve(instance, value)) for variable, value in workload.plain_environment.items()
        }
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
    if workload.hostname is not None:
        service["hostname"] = workload.hostname
    if workload.working_dir is not None:
        service["working_dir"] = literal(workload.working_dir)
    if workload.terminal:
        service |= {"tty": True, "stdin_open": True}
    service["networks"] = _named(networks, workload.hostname)
    if mounted := _mounts(instance, workload):
        service["volumes"] = mounted
    if workload.secrets:
        service["secrets"] = [secret.id for secret in workload.secrets]
    if workload.files:
        service["configs"] = [{"source": file.name, "target": file.target} for file in workload.files]
    if tracked := [file for file in workload.files if file.tracked]:
        service[_CONTENTS] = {file.source or file.name: instance.content_digest(file) for file in tracked}
    if workload.healthcheck is not None:
        service["healthcheck"] = _healthcheck(workload.healthcheck)
    if workload.stop_signal is not None:
        service["stop_signal"] = f"SIG{workload.stop_signal}"
    if hardening.shm is not None:
        service["shm_size"] = f"{hardening.shm}m"
    if hardening.extra_hosts:
        service["extra_hosts"] = [f"{name}={address}" for name, address in hardening.extra_hosts.items()]
    if workload.limits.ulimits:
        service["ulimits"] = dict(workload.limits.ulimits)
    if workload.replicas > 1:
        service["scale"] = workload.replicas
    added = {"cap_add": list(hardening.capabilities)} if hardening.capabilities else {}
    return service | {
        "restart": _RESTARTS[workload.restart],
        "stop_grace_period": f"{workload.stop_grace}s",
        "read_only": hardening.read_only,
        "tmpfs": list(hardening.tmpfs),
        "cap_drop": ["ALL"],
        **added,
        "security_opt": [] if hardening.new_privileges else ["no-new-privileges:true"],
        "mem_limit": f"{workload.limits.memory}m",
        "cpus": workload.limits.cpus,
        "pids_limit": workload.limits.pids,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "labels": {name: literal(value) for name, value in workload.labels.items()} | _marks(instance, workload),
    }


def _published_on(instance: Instance) -> str:
    """Return the address that ports are published on, of this machine or of a server."""
    return "127.0.0.1" if instance.host is None else remote.address(instance.project)


def _named(networks: list[str], hostname: str | None) -> list[str] | dict[str, Any]:
    """Join networks, with the name that a container has for itself if that is not its service's."""
    return networks if hostname is None else {name: {"aliases": [hostname]} for name in networks}


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


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    """Render a health check. Docker takes what is left out from the image, so its own check keeps its own numbers."""
    if check.test == ():
        return {"disable": True}
    asked = (
        {}
        if check.test is None
        else {
            "test": [literal(word) for word in check.test],
            "interval": f"{check.interval:g}s",
            "timeout": f"{check.timeout:g}s",
            "retries": check.retries,
        }
    )
    return asked | {"start_period": f"{check.start_period:g}s", "start_interval": f"{check.start_interval:g}s"}


def labels(instance: Instance) -> dict[str, str]:
    """Return the labels of all that belongs to an instance."""
    return {LABEL_INSTANCE: instance.name, state_label(instance.host): str(instance.state)}


def state_label(host: str | None) -> str:
    """Return the label with the state of an instance on a server, or on this machine."""
    return LABEL_STATE if host is None else LABEL_REMOTE_STATE


def _labels(instance: Instance) -> dict[str, str]:
    return {name: literal(value) for name, value in labels(instance).items()}
