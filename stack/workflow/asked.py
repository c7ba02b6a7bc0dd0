"""What the command line asks of an instance, beside what it remembers: groups that are on, and ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stack.errors import UsageError
from stack.model import Stack
from stack.ports import AUTO, PortChoice
from stack.workload import PortId


@dataclass(frozen=True)
class Groups:
    """The groups of components that the command line turns on and off; the others stay as they are."""

    on: Sequence[str] = ()
    off: Sequence[str] = ()


AS_THEY_ARE = Groups()


def chosen_groups(stack: Stack, before: Sequence[str], groups: Groups) -> tuple[str, ...]:
    """Return the groups that are on: those of before, and those that are turned on, without those that are turned off.

    One that is no longer declared is forgotten.
    """
    for option, names in (("--with", groups.on), ("--without", groups.off)):
        for name in names:
            if name not in stack.groups:
                listed = f"it has: {', '.join(stack.groups)}" if stack.groups else "it has none"
                raise UsageError(f"{option} {name}: {name!r} is not a group of {stack.name}", listed)
    if both := set(groups.on) & set(groups.off):
        raise UsageError(
            f"--with and --without name the same group: {', '.join(sorted(both))}", "leave one of them out"
        )
    wanted = {*before, *groups.on} - set(groups.off)
    return tuple(name for name in stack.groups if name in wanted)


def chosen_ports(declared: Mapping[PortId, int], ports: Mapping[str | None, PortChoice]) -> dict[PortId, PortChoice]:
    chosen: dict[PortId, PortChoice] = {}
    for name, number in ports.items():
        if name is None and len(declared) != 1 and (number != AUTO or not declared):
            names = ", ".join(declared) or "none"
            raise UsageError(f"--port {number}: which component? Published are: {names}", "write --port NAME=PORT")
        chosen |= dict.fromkeys(_named_ports(declared, name) if name else declared, number)
    return chosen


def _named_ports(declared: Mapping[PortId, int], name: str) -> list[PortId]:
    """Find the port of that name, or the only one of the component of that name."""
    found = [port for port in declared if port == name] or [port for port in declared if port.component == name]
    if len(found) != 1:
        problem = "publishes no port" if not found else "publishes several ports"
        raise UsageError(f"--port: {name!r} {problem}", f"published are: {', '.join(declared)}")
    return found
