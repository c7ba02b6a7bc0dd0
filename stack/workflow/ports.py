"""Which ports of this machine an instance publishes, and whether it can have them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack.errors import StackError
from stack.instance import Instance, default_ports, takes_datagrams
from stack.observed import Observed
from stack.ports import AUTO, Holder, Listener, is_free, listener, next_free
from stack.registry import Entry, Registry
from stack.settings import PLAYGROUND, STATE_FOLDER, Settings
from stack.workflow.opened import Opened, with_ports
from stack.workflow.part import EVERYTHING, Part
from stack.workload import WEB, PortId


@contextmanager
def registered(opened: Opened, settings: Settings) -> Iterator[Opened]:
    """Enter an instance in the registry, with a port for each component that gets one automatically; hold its lock.

    A new instance of which the block leaves nothing is taken out again.
    """
    registry, project = Registry(settings.registry), opened.instance.project
    with registry.locked():
        opened = resolve_ports(opened, registry.ports(project), opened.engine.observe)
        entry = Entry(
            project=project,
            instance=opened.instance.name,
            engine=opened.engine.name,
            state=opened.instance.state,
            file=settings.file,
            ports=opened.instance.ports,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            urls={port: url for port, url in opened.instance.url_patterns.items() if url != WEB},
            host=opened.instance.host,
        )
        is_new = registry.enter(entry)
    try:
        yield opened
    finally:
        if is_new and not opened.state.exists():
            registry.remove(project)


@contextmanager
def registered_again(opened: Opened, settings: Settings) -> Iterator[Opened]:
    """Choose others for the ports that were chosen for an instance that does not run yet, if they are taken since."""
    taken = [name for name in opened.automatic if not _may_be_taken(opened, name, opened.instance.ports[name])]
    if not taken:
        yield opened
        return
    left = {name: port for name, port in opened.record.ports.items() if name not in taken}
    with registered(replace(opened, record=replace(opened.record, ports=left)), settings) as ready:
        yield replace(ready, automatic=opened.automatic)


def resolve_ports(opened: Opened, reserved: Collection[int], observe: Callable[[], Observed]) -> Opened:
    """Return the instance with a port for each component that is to get one automatically, not one of `reserved`.

    `observe` is called only if a port has to be chosen.
    """
    ports = dict(opened.record.ports)
    automatic = [name for name in opened.instance.ports if _is_automatic(opened, name, ports)]
    if not automatic:
        return opened
    observed = observe()
    for name in automatic:
        others = {port for other, port in {**opened.instance.ports, **ports}.items() if other != name}
        ports[name] = _choose(opened, name, ports.get(name), observed, {*reserved, *others})
    return with_ports(opened, ports, automatic)


def _is_automatic(opened: Opened, name: PortId, ports: Mapping[PortId, int]) -> bool:
    return opened.asked.get(name) == AUTO or (opened.named and name not in ports)


def _choose(opened: Opened, name: PortId, remembered: int | None, observed: Observed, reserved: Collection[int]) -> int:
    """Choose the declared port or the one that it has, else the next free one; the declared one if none is free."""
    declared = default_ports(opened.instance.stack)[name]
    component = observed.components.get(name.component)
    own = component.ports.get(name) if component is not None else None
    held = own if component is not None and component.running and opened.instance.host is None else None
    wanted = [declared, own, remembered] if name in opened.asked else [own, declared]
    tunnelled = tunnelled_ports(opened)
    for port in wanted:
        if port is not None and (
            port == held or port in tunnelled or (port not in reserved and _may_be_taken(opened, name, port))
        ):
            return port
    return next_free(declared, reserved, takes_datagrams(opened.instance.stack, name)) or declared


def _may_be_taken(opened: Opened, name: PortId, port: int) -> bool:
    """Say whether a port may be chosen: what is free on other machines, only their engine knows."""
    return not opened.engine.traits.ports_here or port_is_free(opened.instance, name, port)


def tunnelled_ports(opened: Opened) -> frozenset[int]:
    """Return the ports of this machine that the instance has, whatever of it runs: of one on a server."""
    tunnel = opened.engine.tunnel
    return frozenset() if tunnel is None else tunnel.ports


def port_is_free(instance: Instance, name: PortId, port: int) -> bool:
    """Whether a published port could be on this port of this machine."""
    return is_free(port, takes_datagrams(instance.stack, name))


def preview(opened: Opened, settings: Settings, observe: Callable[[], Observed] | None = None) -> Opened:
    """Return the instance with the ports that `up` would give it now. Without `observe` its own engine is asked."""
    reserved = Registry(settings.registry).ports(opened.instance.project)
    return resolve_ports(opened, reserved, observe or opened.engine.observe)


def automatic_lines(opened: Opened) -> list[str]:
    """For people: what was chosen for them."""
    declared = default_ports(opened.instance.stack)
    return [
        f"port {port} was chosen for {name.typed}{'' if port == declared[name] else f' ({declared[name]} is taken)'}, "
        f"and is remembered; `up --port {option}` chooses another"
        for name in opened.automatic
        for port, option in [(opened.instance.ports[name], f"{name.typed}=PORT" if len(declared) > 1 else "PORT")]
    ]


def check_ports(opened: Opened, before: Observed, part: Part = EVERYTHING) -> None:
    """Raise `port-taken` before anything of a part is changed, with what has the port and how to free it.

    A race is still caught by the engine.
    """
    _check_distinct(opened.instance)
    if not opened.engine.traits.ports_here:
        return
    tunnelled = tunnelled_ports(opened)
    for name, port in opened.instance.ports.items():
        own = before.components.get(name.component)
        published = opened.instance.host is None and own is not None and own.running and port in own.ports.values()
        if published or port in tunnelled or not part.of([name.component]):
            continue
        if not port_is_free(opened.instance, name, port):
            udp = takes_datagrams(opened.instance.stack, name)
            raise _taken(opened.instance, name, port, holder_of(port, opened.registry, udp))


def _check_distinct(instance: Instance) -> None:
    """Raise `port-taken` if two ports of an instance are one: a port was chosen that another component declares."""
    published: dict[tuple[int, bool], PortId] = {}
    for name, port in instance.ports.items():
        other = published.setdefault((port, takes_datagrams(instance.stack, name)), name)
        if other != name:
            raise StackError(
                "port-taken",
                f"port {port} of localhost is that of {other.typed} and of {name.typed}",
                f"choose another, like `stackctl up --port {_choice(instance, name, port)}`",
            )


def _taken(instance: Instance, name: PortId, port: int, holder: Holder) -> StackError:
    return StackError(
        "port-taken",
        f"port {port} of localhost, which {name.typed} publishes, is taken by {holder.who}",
        f"choose another, like `stackctl up --port {_choice(instance, name, port)}`, or end what has it: {holder.fix}",
    )


def _choice(instance: Instance, name: PortId, port: int) -> str:
    """Return what to write after `--port` to publish a port on another one that is free."""
    free = str(next_free(port + 1, instance.ports.values(), takes_datagrams(instance.stack, name)) or "auto")
    return f"{name.typed}={free}" if len(instance.ports) > 1 else free


def holder_of(port: int, registry: Path | None = None, udp: bool = False) -> Holder:
    """Find what has a port: an instance, a container, a process, or one that only root can see.

    What makes an instance of the registry give it back is a command that can be typed anywhere.
    """
    # A port is rarely taken, and this loads every engine.
    from stack.engines.fleets import FLEETS

    process = listener(port, udp)
    if process is not None and registry and (holder := _tunnel_with(port, process, registry)) is not None:
        return holder
    for fleet in FLEETS.values():
        if (holder := fleet.holder(port, process)) is not None:
            entries = Registry(registry).entries() if registry and holder.state else []
            entry = next((each for each in entries if each.state == holder.state), None)
            return holder if entry is None else replace(holder, fix=_stop_command(entry))
    if process is not None:
        return Holder(str(process), f"`kill {process.process}`")
    return Holder("a program that this user may not see", "`sudo ss -ltnp` names it")


def _tunnel_with(port: int, process: Listener, registry: Path) -> Holder | None:
    """Find the instance on a server whose tunnel a process of ssh is."""
    # One that goes on in the background calls itself `ssh: /path/to/its/control [mux]`.
    if not process.lineage[0][0].rpartition("/")[2].startswith("ssh") and "[mux]" not in process.lineage[0][0]:
        return None
    entries = [each for each in Registry(registry).entries() if each.host and port in each.ports.values()]
    if not entries:
        return None
    who = f"the tunnel to the instance {entries[0].instance!r} on {entries[0].host}"
    return Holder(who, _stop_command(entries[0]), entries[0].state)


def _stop_command(entry: Entry) -> str:
    root, file = entry.state.parent, entry.file
    options = [] if file == PLAYGROUND else ["--file", str(file)]
    # The state of the playground depends on the folder in which one types.
    beside = file != PLAYGROUND and root == file.parent / STATE_FOLDER
    variable = "" if beside else f"STACKCTL_STATE={shlex.quote(str(root))} "
    return f"`{variable}stackctl {shlex.join([*options, '--instance', entry.instance, 'stop'])}`"
