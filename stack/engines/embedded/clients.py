"""What the command-line clients of an embedded instance find in their environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.engines.embedded.layout import HOST, Home
from stack.model import Component
from stack.references import variable_prefix
from stack.workload import PortId


def of_component(component: Component, home: Home, ports: Mapping[PortId, int]) -> dict[str, str]:
    """Give the variables that the client of a component reads: one set for each kind of server."""
    if isinstance(component, Postgres):
        return {
            "PGHOST": HOST,
            "PGPORT": str(ports[PortId.of(component.name)]),
            "PGUSER": component.user,
            "PGDATABASE": component.database,
            "PGPASSFILE": str(home.password_file),
        }
    if isinstance(component, Redis):
        return {
            "STACKCTL_REDIS_PORT": str(ports[PortId.of(component.name)]),
            "STACKCTL_REDIS_PASSWORD_FILE": str(home.secret(component.password.id)),
        }
    return {}


def of_stack(stack: Iterable[Component], home: Home, ports: Mapping[PortId, int]) -> dict[str, str]:
    """Give each server by its name (`STACKCTL_CACHE_PORT`), and to the clients the first server of each kind."""
    servers = [component for component in stack if isinstance(component, (Postgres, Redis))]
    variables: dict[str, str] = {}
    for component in reversed(servers):
        variables |= of_component(component, home, ports)
    # A name stands for its component, also `redis` if another one is the first.
    for component in servers:
        prefix = f"STACKCTL_{variable_prefix(component.name)}"
        variables[f"{prefix}_HOST"] = HOST
        variables[f"{prefix}_PORT"] = str(ports[PortId.of(component.name)])
        variables[f"{prefix}_PASSWORD_FILE"] = str(home.secret(component.password.id))
    return variables


def on_path(path: str, *folders: str) -> str:
    """Put folders first on a search path, each once: a shell may ask for it again and again."""
    first = [part for folder in folders for part in folder.split(os.pathsep) if part]
    rest = [part for part in path.split(os.pathsep) if part not in first]
    return os.pathsep.join([*first, *rest])
