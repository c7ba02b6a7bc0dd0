"""Find the component whose client a command runs: by its name, or by what kind of client it has."""

from __future__ import annotations

from typing import get_args

from stack.capabilities import Client, ClientKind
from stack.errors import UsageError
from stack.instance import Instance
from stack.workflow.finding import find_component


def find_client(instance: Instance, name: str) -> tuple[str, Client]:
    """Find the component of this name, or else, for `db` and `cache`, the only one of this kind."""
    for kind in get_args(ClientKind):
        if name == kind and name not in instance.stack.names:
            return pick_client(instance, kind)
    component = find_component(instance, name)
    if component.client is None:
        hint = f"`stackctl logs {name}`" if name in instance.stack.jobs else f"`stackctl exec {name} -- sh`"
        raise UsageError(f"{name!r} is a {component.role}, which has no client", hint)
    return name, component.client


def pick_client(instance: Instance, kind: ClientKind, name: str | None = None) -> tuple[str, Client]:
    """Find the component of a kind: the one named, else the only one, else the one that is called like the kind."""
    if name is not None:
        component = find_component(instance, name)
        if component.client is None or component.client.kind != kind:
            raise UsageError(f"{name!r} is a {component.role}", "name another component, or leave the name out")
        return name, component.client
    found = {each.name: each.client for each in instance.stack if each.client is not None and each.client.kind == kind}
    if len(found) != 1 and kind not in found:
        raise UsageError(f"which {kind}? The stack has: {', '.join(found) or 'none'}", "write its name in its place")
    chosen = kind if kind in found else next(iter(found))
    return chosen, found[chosen]
