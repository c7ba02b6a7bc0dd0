"""Run commands of a user in the place of a component: which one, what has to run for it, and with which variables."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from stack.capabilities import Completed
from stack.component import Component
from stack.engines import one_offs, process
from stack.errors import StackError, UsageError
from stack.observed import Observed
from stack.program import Program
from stack.workflow.finding import find_component
from stack.workflow.opened import Opened
from stack.workflow.part import Part, noting_stopped
from stack.workflow.ports import holder_of, port_is_free

_GRACE = 10.0
_LOCAL = "local"


def require_used(opened: Opened, observed: Observed, name: str, besides: Collection[str] = ()) -> None:
    """Raise `component-down` if something that a component uses does not run.

    What ends by itself need not, nor those of `besides`, which are about to be started.
    """
    stack = opened.instance.stack
    needed = [used for used in stack[name].needs if used not in stack.jobs and used not in besides]
    states = {used: observed.components.get(used) for used in needed}
    down = {
        used: state.summary if state else "absent" for used, state in states.items() if not (state and state.running)
    }
    if down:
        listed = ", ".join(f"{used} ({summary})" for used, summary in down.items())
        raise StackError(
            "component-down",
            f"{name} uses what does not run: {listed}",
            f"run `stackctl up {' '.join(down)}`, which starts only that, or `stackctl up`",
        )


def find_app(opened: Opened, name: str | None) -> Component:
    """Find the component that a process of this machine takes the place of: the one named, else the only app."""
    if name is not None:
        component = find_component(opened.instance, name)
        if not isinstance(component, Program):
            problem = f"{name} is a {component.role}, which no process of yours takes the place of"
            raise UsageError(problem, f"name what uses it: {_listed(_programs(opened))}")
        return component
    stack = opened.instance.stack
    sources = [each for each in _programs(opened) if stack.own_workload(each.name, "container").source is not None]
    # What runs beside an app has the same variables.
    apps = [each for each in sources or _programs(opened) if not each.shares]
    if len(apps) != 1:
        raise UsageError(f"which component? The stack has: {_listed(apps)}", "write its name before `--`")
    return apps[0]


def _programs(opened: Opened) -> list[Component]:
    return [each for each in opened.instance.stack if isinstance(each, Program)]


def _listed(components: Sequence[Component]) -> str:
    return ", ".join(each.name for each in components) or "none"


def run_here(
    component: str,
    command: Sequence[str],
    variables: Mapping[str, str],
    capture: bool = False,
    folder: Path | None = None,
) -> Completed:
    """Run a command in this user's own environment, with variables beside it. Raises `UsageError` if there is none."""
    environment = {**os.environ, **variables}
    try:
        if capture:
            return process.ask(component, command, environment, None)
        return Completed(process.attach(command, environment, folder, _GRACE), "", "")
    except OSError as error:
        raise UsageError(
            f"{command[0]} can't be run: {(error.strerror or 'not found').lower()}",
            "write a program of this machine, by its path or as it is found on PATH; a virtual environment has to be "
            "activated first",
        ) from error


def check_own_port(opened: Opened, component: str) -> None:
    """Raise `port-taken` unless a process of this machine can listen on the ports that a component publishes."""
    for id_, port in opened.instance.ports.items():
        if id_.component == component and not port_is_free(opened.instance, id_, port):
            holder = holder_of(port, opened.registry)
            raise StackError(
                "port-taken",
                f"port {port} of localhost, on which {component} has to listen, is taken by {holder.who}",
                f"end what has it: {holder.fix}",
            )


def rest_of(opened: Opened, component: str) -> Part:
    """Return the part of all but a component and what needs it. Raises `UsageError` for one that can't be left out."""
    stack = opened.instance.stack
    if component in stack.jobs:
        raise UsageError(f"{component} is a job", f"run its command by `stackctl run --local {component} -- …`")
    if stack.replicas(component) > 1:
        raise UsageError(f"{component} has several replicas", f"run one by `stackctl run --local {component} -- …`")
    names = frozenset(name for name in stack.names if name != component and component not in stack.order.below(name))
    if not names:
        raise UsageError(f"there is nothing to start beside {component}", "start it yourself")
    return Part(names)


def needing(opened: Opened, component: str) -> tuple[str, ...]:
    """Name what needs a component, and so is left as it is while that is a process of this machine."""
    stack = opened.instance.stack
    return tuple(name for name in stack.names if component in stack.order.below(name))


def left_to_this_machine(opened: Opened, component: str) -> Opened:
    """Stop what the engine runs of a component, and return the instance in which it does not run on purpose."""
    noted = noting_stopped(opened, opened.instance.stopped.union({component}))
    state = opened.engine.observe().components.get(component) if opened.state.exists() else None
    if state is not None and state.running:
        noted.state.remember(noted.record)
        noted.engine.stop([component])
    return noted


def local_name(component: str) -> str:
    """Name the lock that a local process in the place of a component holds while it runs."""
    return f"{component}.{_LOCAL}"


def runs_locally(opened: Opened, component: str) -> bool:
    return one_offs.is_held(opened.state.folder, local_name(component))
