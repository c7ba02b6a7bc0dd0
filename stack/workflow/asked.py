"""What the command line asks of an instance, beside what it remembers: groups that are on, and published ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stack.errors import UsageError
from stack.frozen import dataclass
from stack.instance import default_ports
from stack.model import Stack
from stack.ports import AUTO, PortChoice
from stack.workload import PortId


@dataclass(frozen=True)
class Switches:
    """What the command line turns on and off; all else stays as it is.

    `on`, `off`: groups of components. `publish`, `unpublish`: components whose ports are published on this machine,
    though they declare that of none.
    """

    on: Sequence[str] = ()
    off: Sequence[str] = ()
    publish: Sequence[str] = ()
    unpublish: Sequence[str] = ()


AS_THEY_ARE = Switches()


def chosen_groups(stack: Stack, before: Sequence[str], groups: Switches) -> tuple[str, ...]:
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


def chosen_published(stack: Stack, before: Sequence[str], switches: Switches) -> tuple[str, ...]:
    """Return the components whose ports are published though they declare that of none: those of before, and as asked.

    One that is no longer declared is forgotten.
    """
    for option, names in (("--publish", switches.publish), ("--unpublish", switches.unpublish)):
        for name in names:
            if name not in stack.names:
                raise UsageError(
                    f"{option} {name}: {name!r} is not a component of {stack.name}", f"it has: {', '.join(stack.names)}"
                )
            if not stack.own_workload(name, "container").ports:
                raise UsageError(f"{option} {name}: {name} has no port", "leave it out")
    wanted = {*before, *switches.publish}.difference(switches.unpublish)
    return tuple(name for name in stack.names if name in wanted)


def chosen_ports(stack: Stack, ports: Mapping[str | None, PortChoice]) -> dict[PortId, PortChoice]:
    """Return what `--port` chooses for each published port. None stands for the only one, and with `auto` for all."""
    declared, chosen = [*default_ports(stack)], dict[PortId, PortChoice]()
    if None in ports:
        number = ports[None]
        if len(declared) != 1 and (number != AUTO or not declared):
            raise UsageError(f"--port {number}: which port?", _published(declared))
        chosen |= dict.fromkeys(declared, number)
    named: dict[PortId, str] = {}
    for name, number in ports.items():
        if name is not None:
            port = _named_port(stack, declared, name)
            if port in named:
                raise UsageError(f"--port: {named[port]} and {name} are the same port", "leave one of them out")
            named[port], chosen[port] = name, number
    return chosen


def _named_port(stack: Stack, declared: Sequence[PortId], name: str) -> PortId:
    """Find the published port of that name, or the only one of the component of that name."""
    own = [port for port in declared if port.component == name]
    found = [port for port in declared if name in (port, port.typed)] or own
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"--port: {name!r} publishes several ports", _published(own))
    component = PortId(name.replace(".", ":")).component
    if component in stack.off:
        group = stack.off[component]
        raise UsageError(
            f"--port: {component!r} is in the group {group!r}, which is off", f"`--with {group}` turns it on"
        )
    if component not in stack.names:
        raise UsageError(f"--port: {component!r} is not a component of {stack.name}", _published(declared))
    raise UsageError(f"--port: {name!r} publishes no port", _published(declared))


def _published(ports: Sequence[PortId]) -> str:
    if not ports:
        return "no component publishes a port; `publish=` in the stack file does"
    return f"write {', '.join(f'--port {port.typed}=PORT' for port in ports)}"
