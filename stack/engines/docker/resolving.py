"""Say what a component's container is made from, as all engines on Docker see it: pure.

Containers of one instance reach each other by the names of their components.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stack.instance import Instance
from stack.references import ParameterReference, Reference, SecretReference, SecretValue, Value, hide, resolved
from stack.workload import Volume, VolumeId, Workload

# Nothing but the container itself reaches its loopback address.
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of its networks


def workload_of(instance: Instance, name: str) -> Workload:
    return instance.stack.workload(name, "container")


def volumes(instance: Instance) -> dict[VolumeId, str]:
    """Map each volume to Docker's name for it."""
    return {
        volume.id: f"{instance.project}_{instance.store_name(volume)}"
        for name in instance.stack.names
        for volume in workload_of(instance, name).volumes
    }


def volume_of(instance: Instance, volume: VolumeId) -> Volume:
    workloads = (workload_of(instance, name) for name in instance.stack.names)
    return next(each for workload in workloads for each in workload.volumes if each.id == volume)


def variables(instance: Instance, name: str) -> dict[str, str]:
    """Return the variables that a container gets beside those of its image, with `***` for each secret."""
    environment = instance.stack.workload(name, "container").environment
    return {variable: resolve(instance, value) for variable, value in environment.items()}


def resolve(instance: Instance, value: Value, reveal: Callable[[SecretValue], str] = hide) -> str:
    """Resolve references, and what stands for a secret with `reveal`."""

    def resolve(reference: Reference | SecretValue) -> str:
        if isinstance(reference, SecretValue):
            return reveal(reference)
        if isinstance(reference, ParameterReference):
            return reference.value(instance.parameters)
        if isinstance(reference, SecretReference):
            return f"/run/secrets/{reference.id}"
        return {
            "host": lambda: reference.component,
            "port": lambda: str(port_number(instance, reference)),
            "bind": lambda: _EVERY_ADDRESS,
            "every": lambda: _EVERY_ADDRESS,
            "volume": lambda: _mount_point(instance, reference, VolumeId.of(reference.component, reference.name)),
            "file": lambda: _file_place(instance, reference),
            "shared": lambda: _mount_point(instance, reference, VolumeId.of(reference.name)),
        }[reference.field]()

    return resolved(value, resolve)


def port_number(instance: Instance, reference: Reference) -> int:
    """Return the port that a component listens on in its container: the named one, or its first."""
    ports = instance.stack.own_workload(reference.component, "container").ports
    return next(port.number for port in ports if reference.name in ("", port.id.name))


def _mount_point(instance: Instance, reference: Reference, id_: VolumeId) -> str:
    volumes = instance.stack.own_workload(reference.component, "container").volumes
    return next(volume.target for volume in volumes if volume.id == id_)


def _file_place(instance: Instance, reference: Reference) -> str:
    files = instance.stack.own_workload(reference.component, "container").files
    return next(file.target for file in files if file.name == f"{reference.component}.{reference.name}")


def build_of(instance: Instance, name: str) -> dict[str, Any]:
    """Return the section `build` of a component that has a source."""
    build = instance.build(name)
    where: dict[str, Any] = {
        "context": literal(str(instance.source(name))),
        "dockerfile": literal(str(instance.dockerfile(name))),
    }
    target = {"target": build.target} if build.target else {}
    args = {"args": {key: literal(value) for key, value in build.args.items()}} if build.args else {}
    return where | target | args


def literal(text: str) -> str:
    """Escape dollars of a project's file: the client replaces `$NAME` in every value, and `$$` stands for a dollar."""
    return text.replace("$", "$$")
