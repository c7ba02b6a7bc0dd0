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
from stack.workload import Workload

# No component has a name with a dot.
_KEY = "stackctl.carried"


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


def mounted(instance: Instance, workload: Workload, service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service that mounts from the volume what it would mount from this machine."""
    own = {name: value for name, value in service.items() if name not in ("secrets", "configs")}
    parts = {f"/run/secrets/{secret.id}": instance.secret_file(secret.id) for secret in workload.secrets}
    parts |= {file.target: instance.config_file(file) for file in workload.files}
    mounts = [_mount(target, path.relative_to(instance.state).as_posix()) for target, path in parts.items()]
    return {**own, "volumes": [*own.get("volumes", ()), *mounts]} if mounts else own


def _mount(target: str, part: str) -> dict[str, Any]:
    return {
        "type": "volume",
        "source": _KEY,
        "target": target.replace("$", "$$"),
        "read_only": True,
        "volume": {"nocopy": True, "subpath": part.replace("$", "$$")},
    }
