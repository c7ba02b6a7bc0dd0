"""What is rendered otherwise for a server: pure.

A path of this machine means nothing there. Compose itself can copy secrets and files into containers, but not into one
whose root is read-only, as all are here. So they are carried into a volume, see `carrying.py`, of which each service
mounts the parts that are its own.

Ports are published on a loopback address of the server that is the instance's own, with the numbers that they have
here: no two instances want the same one there. `stack.engines.docker.tunnel` brings them here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from stack.instance import Instance
from stack.workload import File, Workload

# No component has a name with a dot.
_KEY = "stackctl.carried"
_SECRETS = "/run/secrets"


def address(project: str) -> str:
    """Return the loopback address of a server on which a project publishes its ports."""
    first, second, third = hashlib.sha256(project.encode()).digest()[:3]
    return f"127.{first % 254 + 1}.{second}.{third % 254 + 1}"


def volume(instance: Instance) -> str:
    """Return Docker's name for the volume. It is none of those with data, whose names have `_` after the project."""
    return f"{instance.project}-carried"


def declared(instance: Instance) -> dict[str, Any]:
    """Declare the volume, which Compose neither creates nor removes."""
    return {_KEY: {"name": volume(instance), "external": True}}


def secrets_folder(component: str) -> str:
    """Return the folder of the volume with the secrets of a component.

    It is mounted as a whole, so that a secret that is written again reaches what runs: a file that is mounted by itself
    stays as it was.
    """
    return f"secrets/{component}"


def part(instance: Instance, file: File) -> str:
    """Return the path in the volume of a file that containers read."""
    return f"compose/{instance.config_file(file).relative_to(instance.configuration).as_posix()}"


def mounted(instance: Instance, name: str, workload: Workload, service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service of a component that mounts from the volume what it would mount from this machine."""
    own = {key: value for key, value in service.items() if key not in ("secrets", "configs")}
    parts = {_SECRETS: secrets_folder(name)} if workload.secrets else {}
    parts |= {file.target: part(instance, file) for file in workload.files}
    mounts = [_mount(target, path) for target, path in parts.items()]
    return {**own, "volumes": [*own.get("volumes", ()), *mounts]} if mounts else own


def _mount(target: str, path: str) -> dict[str, Any]:
    return {
        "type": "volume",
        "source": _KEY,
        "target": target.replace("$", "$$"),
        "read_only": True,
        "volume": {"nocopy": True, "subpath": path.replace("$", "$$")},
    }
