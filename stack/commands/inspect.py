"""`stackctl inspect`: what PostgreSQL holds, what Redis holds, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from stack.capabilities import Client, ClientKind, Inspection
from stack.errors import StackError, UsageError
from stack.report import Report
from stack.results.access import Inspected, TableRows
from stack.settings import Settings
from stack.style import BOLD, Style
from stack.workflow.clients import find_client, pick_client
from stack.workflow.finding import require_running
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.standbys import standby_lines, standby_statuses

_ORDER = ("db", "cache")


def inspect(settings: Settings) -> Report[Mapping[str, Inspected]]:
    """Show what every component holds that can be inspected, databases first."""
    opened = look(settings)
    clients = {each.name: each.client for each in opened.instance.stack if each.client is not None}
    names = sorted(clients, key=lambda name: _ORDER.index(clients[name].kind))
    parts = {name: _inspect(opened, name, clients[name], None) for name in names}

    def text(style: Style) -> str:
        return "\n\n".join(f"{style.paint(name, BOLD)}\n{part.text(style)}" for name, part in parts.items())

    return Report.drawn("inspect", text, {name: part.data for name, part in parts.items()}, verbatim=True)


def inspect_one(settings: Settings, kind: ClientKind, name: str | None, subject: str | None) -> Report[Inspected]:
    """Show what one component of a kind holds: its declared part, or the `subject`, a query or a key."""
    opened = look(settings)
    return report(opened, *pick_client(opened.instance, kind, name), subject)


def inspect_component(settings: Settings, name: str, query: str | None, key: str | None) -> Report[Inspected]:
    """Show what a component holds: its declared part, the rows of a query, or a key."""
    opened = look(settings)
    name, client = find_client(opened.instance, name)
    subjects = {"--query SQL": query, "--key KEY": key}
    own = "--query SQL" if client.kind == "db" else "--key KEY"
    subject = subjects.pop(own)
    for other, given in subjects.items():
        if given is not None:
            role = opened.instance.stack[name].role
            raise UsageError(f"{other.split()[0]}: {name!r} is a {role}", f"leave it out, or write {own}")
    return report(opened, name, client, subject)


def report(opened: Opened, name: str, client: Client, subject: str | None) -> Report[Inspected]:
    """Show what a component of an instance that is open holds."""
    part = _inspect(opened, name, client, subject)
    return Report.drawn(f"inspect {client.kind}", part.text, part.data, verbatim=True)


def _inspect(opened: Opened, name: str, client: Client, subject: str | None) -> Inspection:
    part = client.inspect(partial(_ask, opened), subject)
    if not isinstance(part.data, TableRows) or opened.instance.stack[name].replication is None:
        return part
    statuses = standby_statuses(opened, opened.engine.observe(), [name])
    if name not in statuses:
        return part

    def text(style: Style) -> str:
        return "\n".join([*(style.wrapped(line, "", "  ") for line in standby_lines(statuses)), part.text(style)])

    return Inspection(replace(part.data, standby=statuses[name]), text)


def _ask(opened: Opened, name: str, command: Sequence[str], timeout: float | None) -> str:
    """Give what a command in a component writes. Why one failed is asked only after it did."""
    answer = opened.engine.session(name).run(command, timeout)
    if answer.ok:
        return answer.stdout
    require_running(opened.instance, opened.engine.observe(), name)
    said = (answer.stderr or answer.stdout).strip()
    raise StackError("query-failed", f"{name}: {said}", f"try it by hand: `stackctl exec {name} -- {command[0]}`")
