"""`stackctl inspect`: what PostgreSQL holds, what Redis holds, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from stack.capabilities import Client, Inspection
from stack.errors import StackError, UsageError
from stack.report import Report
from stack.results.access import Inspected
from stack.settings import Settings
from stack.style import BOLD, Style
from stack.workflow.opening import Opened, find_component, look, require_running

_ORDER = ("db", "cache")


def inspect(settings: Settings) -> Report[Mapping[str, Inspected]]:
    """Show what every component holds that can be inspected, databases first."""
    opened = look(settings)
    clients = {each.name: each.client for each in opened.instance.stack if each.client is not None}
    names = sorted(clients, key=lambda name: _ORDER.index(clients[name].kind))
    parts = {name: _inspect(opened, clients[name], None) for name in names}

    def text(style: Style) -> str:
        return "\n\n".join(f"{style.paint(name, BOLD)}\n{part.text(style)}" for name, part in parts.items())

    return Report.drawn("inspect", text, {name: part.data for name, part in parts.items()}, verbatim=True)


def inspect_one(
    settings: Settings, kind: Literal["db", "cache"], name: str | None, subject: str | None
) -> Report[Inspected]:
    """Show what one component of a kind holds: its declared part, or the `subject`, a query or a key."""
    opened = look(settings)
    part = _inspect(opened, _pick(opened, kind, name), subject)
    return Report.drawn(f"inspect {kind}", part.text, part.data, verbatim=True)


def _pick(opened: Opened, kind: str, name: str | None) -> Client:
    """The client of the component that is meant: the one named, else the only one of its kind."""
    if name is not None:
        component = find_component(opened.instance, name)
        if component.client is None or component.client.kind != kind:
            raise UsageError(f"{name!r} is a {component.role}", "name another component, or leave the name out")
        return component.client
    found = {
        each.name: each.client for each in opened.instance.stack if each.client is not None and each.client.kind == kind
    }
    if len(found) != 1:
        raise UsageError(
            f"which {kind}? The stack has: {', '.join(found) or 'none'}", "write its name after the command"
        )
    return next(iter(found.values()))


def _inspect(opened: Opened, client: Client, subject: str | None) -> Inspection:
    return client.inspect(partial(_ask, opened), subject)


def _ask(opened: Opened, name: str, command: Sequence[str], timeout: float | None) -> str:
    """Give what a command in a component writes. Why one failed is asked only after it did."""
    answer = opened.engine.session(name).run(command, timeout)
    if answer.ok:
        return answer.stdout
    require_running(opened.instance, opened.engine.observe(), name)
    said = (answer.stderr or answer.stdout).strip()
    raise StackError("query-failed", f"{name}: {said}", f"try it by hand: `stackctl exec {name} -- {command[0]}`")
