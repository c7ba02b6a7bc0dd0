"""Find what a command names: a component, a database, or what has to run for it."""

from __future__ import annotations

from stack.capabilities import Dumps
from stack.component import Component
from stack.errors import ExitCode, StackError, UsageError
from stack.instance import Instance, not_up
from stack.observed import ComponentState, Observed


def find_component(instance: Instance, name: str) -> Component:
    """Find a component. Raises `service-unknown`, which lists those there are."""
    stack = instance.stack
    if name in (external.name for external in stack.externals):
        raise UsageError(f"{name!r} is external: stackctl runs nothing of it", "use the tools of that server itself")
    if name not in stack.names:
        problem, hint = f"{name!r} is not a component of {stack.name}", f"it has: {', '.join(stack.names)}"
        if name in stack.off:
            group = stack.off[name]
            problem, hint = (
                f"{name!r} is in the group {group!r}, which is off",
                f"`stackctl up --with {group}` turns it on",
            )
        error = StackError("service-unknown", problem, hint)
        error.exit_code = ExitCode.USAGE
        raise error
    return instance.stack[name]


def pick_database(instance: Instance, name: str | None) -> tuple[str, Dumps]:
    """Find the component whose data is dumped and loaded: the one named, else the only one."""
    if name is not None:
        component = find_component(instance, name)
        if component.dumps is None:
            raise UsageError(f"{name!r} is a {component.role}", "name another component, or leave the name out")
        return name, component.dumps
    found = {each.name: each.dumps for each in instance.stack if each.dumps is not None}
    if len(found) != 1:
        raise UsageError(f"which database? The stack has: {', '.join(found) or 'none'}", "write its name")
    return next(iter(found.items()))


def require_up(instance: Instance, observed: Observed) -> None:
    """Raise `instance-down` if nothing of the instance exists."""
    if not observed.exists:
        raise not_up(instance)


def require_running(instance: Instance, observed: Observed, name: str) -> ComponentState:
    """Return the state of a component. Raises `instance-down` or `component-down` unless it can be asked."""
    require_up(instance, observed)
    component = observed.components.get(name)
    if component is None or not component.running:
        state = component.summary if component else "absent"
        raise StackError(
            "component-down",
            f"{name} does not run ({state})",
            f"a job runs to its end; see `stackctl logs {name}`"
            if name in instance.stack.jobs
            else f"run `stackctl up`, and look at `stackctl logs {name}`",
        )
    return component
