"""Where every command begins: the instance that the settings mean, its state and its engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stack.declaration import load_stack
from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.errors import ExitCode, StackError, UsageError
from stack.instance import Instance, default_ports, default_project
from stack.model import Component
from stack.observed import Observed
from stack.settings import Settings
from stack.state import Record, State

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Opened:
    """An instance with what is needed to work on it."""

    instance: Instance
    state: State
    engine: Engine
    record: Record


def open_instance(settings: Settings, ports: Mapping[str | None, int] | None = None) -> Opened:
    """Read the declaration and what is remembered of the instance. Changes nothing.

    `ports` are those chosen on the command line, by component; None stands for the only one that is published.
    """
    stack = load_stack(settings.file)
    name = settings.instance or stack.name
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for an instance", "use a-z, 0-9 and -, at most 31 characters")
    folder = settings.state_root / name
    state = State(folder)
    remembered = state.record() or Record(project=default_project(name, folder), ports={})
    declared = default_ports(stack)
    kept = {component: port for component, port in remembered.ports.items() if component in declared}
    record = replace(remembered, ports=kept | _chosen(declared, ports or {}))
    instance = Instance(
        name=name,
        project=record.project,
        stack=stack,
        folder=settings.file.parent,
        state=folder,
        ports=dict(declared) | dict(record.ports),
    )
    return Opened(instance, state, ENGINES["compose"](instance), record)


def _chosen(declared: Mapping[str, int], ports: Mapping[str | None, int]) -> dict[str, int]:
    chosen = {}
    for component, port in ports.items():
        if component is None and len(declared) != 1:
            names = ", ".join(declared) or "none"
            raise UsageError(f"--port {port}: which component? Published are: {names}", "write --port NAME=PORT")
        if component is not None and component not in declared:
            raise UsageError(f"--port: {component!r} publishes no port", f"published are: {', '.join(declared)}")
        chosen[component or next(iter(declared))] = port
    return chosen


def find_component(instance: Instance, name: str) -> Component:
    """Raises `service-unknown`, which lists those there are."""
    if name not in instance.stack.names:
        error = StackError(
            "service-unknown",
            f"{name!r} is not a component of {instance.stack.name}",
            f"it has: {', '.join(instance.stack.names)}",
        )
        error.exit_code = ExitCode.USAGE
        raise error
    return instance.stack[name]


def require_up(instance: Instance, observed: Observed) -> None:
    """Raises `instance-down` when nothing of the instance exists."""
    if not observed.exists:
        raise StackError("instance-down", f"{instance.name} is not up", "run `stackctl up` first")


def require_running(instance: Instance, observed: Observed, name: str) -> None:
    """Raises `instance-down` or `component-down` unless a component can be asked."""
    require_up(instance, observed)
    component = observed.components.get(name)
    if component is None or not component.running:
        state = component.summary if component else "absent"
        raise StackError(
            "component-down",
            f"{name} does not run (it is {state})",
            f"run `stackctl up`, and look at `stackctl logs {name}`",
        )
