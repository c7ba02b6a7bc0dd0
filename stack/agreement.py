"""Check what the components of a stack have to agree on: what they name of each other and share, and their groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from stack.calls import check_name
from stack.errors import DeclarationError, UsageError
from stack.frozen import dataclass
from stack.references import SecretReference, Value, references_in
from stack.workload import TARGETS, PortId, Target, Volume, Workload

if TYPE_CHECKING:
    from stack.component import Component
    from stack.model import Stack


@dataclass(frozen=True)
class SharedVolume:
    """A volume that belongs to no component, with the `users` that have it and their user and group in numbers.

    `owner` None: the user of their images. `backup`: snapshots have it.
    """

    name: str
    owner: str | None
    backup: bool
    users: tuple[str, ...]


def check_agreement(stack: Stack) -> None:
    """Raise `DeclarationError` for what does not fit together of components that are right, each by itself."""
    _check_externals(stack)
    _check_uses(stack)
    for component in stack:
        _check_named(stack, f"{component.name}/before", component.precedes)
    for component in stack:
        _check_named(stack, f"{component.name}/of", component.shares)
    if circle := stack.order.find_circle():
        raise stack.wrong(circle[0], f"goes in a circle: {circle[1]}")
    _check_reads(stack)
    _check_forwards(stack)
    _check_environments(stack)
    _check_parameters(stack)
    _check_ports(stack)
    _check_volumes(stack)


def _check_externals(stack: Stack) -> None:
    names = [external.name for external in stack.externals]
    for name in names:
        if name in stack.names:
            raise stack.wrong(name, "is the name of a component and of an External; a name belongs to one of them")
        if names.count(name) > 1:
            raise stack.wrong(name, "is an External with two URLs; a name belongs to one of them")


def _check_uses(stack: Stack) -> None:
    outside = {external.name for external in stack.externals}
    for component in stack:
        for used in (*component.needs, *component.reached):
            if used in outside:
                problem = f"names the External {used!r}, which has to be given itself and not by its name"
                raise stack.wrong(f"{component.name}/{component.relation(used)}", problem)
            _check_named(stack, f"{component.name}/{component.relation(used)}", [used])


def _check_named(stack: Stack, path: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in stack.names:
            raise stack.absent(path, name)


def _check_reads(stack: Stack) -> None:
    for component in stack:
        for read in component.reads:
            if read not in stack.names:
                raise stack.wrong(
                    f"{component.name}/inspect",
                    f"reads {read!r}, which is not in the stack (it has {', '.join(stack.names)})",
                )


def _check_forwards(stack: Stack) -> None:
    """Check that each port that a component passes connections on to is there, and is meant alone."""
    for component in stack:
        for what, port in component.forwards.items():
            path, target = f"{component.name}/{component.relation(port.component)}", port.component
            ports = [each for each in stack.own_workload(target, "container").ports if not each.udp]
            names = ", ".join(each.id.name for each in ports)
            if not ports:
                raise stack.wrong(path, f"{what!r} leads to {target!r} ({stack[target].role}), which has no port")
            if port.name and port.name not in [each.id.name for each in ports]:
                problem = f"{what!r} leads to {port.name!r}, which is no port of {target!r}"
                raise stack.wrong(path, f"{problem} (it has {names})" if names else problem)
            if not port.name and len(ports) > 1:
                example = PortId.of(target, ports[0].id.name).typed
                problem = f"{what!r} leads to {target!r}, which has several ports ({names})"
                raise stack.wrong(path, f"{problem}; name one, like {example!r}")


def _check_environments(stack: Stack) -> None:
    for component in stack:
        workload = stack.own_workload(component.name, "container")
        for variable, value in workload.environment.items():
            path = f"{component.name}/environment/{variable}"
            _check_references(stack, component, path, value)
            _check_file(stack, path, value)
        for word in (*(workload.entrypoint or ()), *(workload.command or ())):
            _check_references(stack, component, f"{component.name}/command", word)


def _check_references(stack: Stack, component: Component, path: str, value: Value) -> None:
    known = ("", component.name, *component.needs, *component.reached, *component.shares)
    for reference in references_in(value):
        if reference.component not in known:
            raise stack.wrong(path, f"refers to {reference.component!r}, which is not in its uses")


def _check_file(stack: Stack, path: str, value: Value) -> None:
    if isinstance(value, SecretReference) and value.component:
        owner = stack[value.component]
        if value not in (secret for target in TARGETS for secret in owner.secrets(target)):
            problem = f"{value.component}.{value.field} has no file; pass its value in a variable without _FILE"
            raise stack.wrong(path, problem)


def _check_parameters(stack: Stack) -> None:
    try:
        _ = stack.parameters
    except DeclarationError as error:
        raise DeclarationError(f"{stack.name}/{error.path}", error.problem, error.hint) from error


def shared_volumes(stack: Stack) -> dict[str, SharedVolume]:
    found: dict[str, SharedVolume] = {}
    for component in stack:
        workload = stack.own_workload(component.name, "container")
        for volume in workload.volumes:
            if volume.shared:
                before = found.get(volume.id)
                users = (*before.users, component.name) if before else (component.name,)
                found[volume.id] = SharedVolume(volume.id, workload.hardening.owner, volume.backup, users)
    return found


def _check_volumes(stack: Stack) -> None:
    """Check that each volume has one name, one owner and one way to be saved, and none the name of another."""
    owners: dict[str, tuple[str, Workload, Volume]] = {}
    for component in stack:
        workload = stack.own_workload(component.name, "container")
        for volume in workload.volumes:
            path = f"{component.name}/volumes/{volume.id.name or volume.id}"
            if volume.shared and volume.id in stack.names:
                own = ', or write {"data": "/its/place"} for one of its own' if volume.id == component.name else ""
                raise stack.wrong(
                    path, f"{str(volume.id)!r} is the name of a component; choose another for the volume{own}"
                )
            other, theirs, same = owners.setdefault(volume.base, (component.name, workload, volume))
            if same.id != volume.id:
                raise stack.wrong(
                    path, f"would be called {volume.base!r}, as a volume of {other!r} is; choose another name"
                )
            if same.backup != volume.backup:
                raise stack.wrong(
                    path, f"is declared with backup={volume.backup}, and with backup={same.backup} in {other!r}"
                )
            if same.owned != volume.owned:
                raise stack.wrong(path, f"is declared with another from_image than in {other!r}")
            mine, its = (each.hardening.user or "the user of its image" for each in (workload, theirs))
            if volume.shared and mine != its:
                raise stack.wrong(
                    path,
                    f"belongs to {mine} here and to {its} in {other!r}; a volume has one owner, so give both "
                    "the same `user`",
                )


def _check_ports(stack: Stack) -> None:
    """Check that no two components publish one port, unless they are alternatives: each in groups of its own."""
    published: dict[tuple[int | None, bool], list[str]] = {}
    for component in stack:
        for port in stack.own_workload(component.name, "container").published:
            others = published.setdefault((port.publish, port.udp), [])
            taken = next((other for other in others if not _are_alternatives(stack, other, component.name)), None)
            if taken is not None:
                raise stack.wrong(f"{component.name}/publish", f"{port.publish} is published by {taken!r} already")
            others.append(component.name)


def _are_alternatives(stack: Stack, one: str, other: str) -> bool:
    first, second = ({group for group, members in stack.groups.items() if name in members} for name in (one, other))
    return bool(first) and bool(second) and not first & second


def checked_groups(stack: Stack, groups: object) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the components in each group. What is in no group uses nothing that is in one."""
    if not isinstance(groups, Mapping):
        raise stack.wrong("groups", f"{groups!r} is not a mapping, like {{'tools': [adminer]}}")
    checked = {check_name(f"{stack.name}/groups", name): _members(stack, name, given) for name, given in groups.items()}
    grouped = first_groups(checked)
    if grouped.keys() >= {*stack.names}:
        raise stack.wrong(
            "groups", "hold every component; one at least is in no group, because groups are off at first"
        )
    for component in stack:
        for used in related(component) if component.name not in grouped else ():
            if used in grouped:
                raise stack.wrong(
                    f"groups/{grouped[used]}",
                    f"has {used!r}, which {component.name!r} needs and which is off at first; put {component.name!r} "
                    "into the group too, or leave the other out",
                )
    return MappingProxyType(checked)


def first_groups(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the components that are in groups, each with the name of its first one."""
    found: dict[str, str] = {}
    for group, members in groups.items():
        for name in members:
            found.setdefault(name, group)
    return found


def _members(stack: Stack, group: str, given: object) -> tuple[str, ...]:
    path = f"groups/{group}"
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise stack.wrong(path, f"{given!r} is not a list")
    if not given:
        raise stack.wrong(path, "is empty; a group has at least one component")
    names = []
    for each in given:
        name = each if isinstance(each, str) else getattr(each, "name", None)
        if not isinstance(name, str):
            raise stack.wrong(path, f"{each!r} is neither a component nor the name of one")
        if name not in stack.names or (not isinstance(each, str) and each not in stack.components):
            raise stack.absent(path, name)
        if name in names:
            raise stack.wrong(path, f"{name!r} is listed twice")
        names.append(name)
    return tuple(names)


def related(component: Component) -> tuple[str, ...]:
    """Return the names of all components that one can't be without."""
    return (*component.needs, *component.reached, *component.shares, *component.reads)


def runnable(stack: Stack, target: Target) -> list[Component]:
    """Return the components of a stack that can run on a target, with all that they can't be without."""
    able = [component for component in stack if runs_on(stack, component.name, target)]
    while True:
        names = {component.name for component in able}
        left = [component for component in able if names.issuperset(related(component))]
        if len(left) == len(able):
            return [component.preceding(names) for component in able]
        able = left


def runs_on(stack: Stack, name: str, target: Target) -> bool:
    try:
        stack.workload(name, target)
    except DeclarationError:
        return False
    return True


def selected(stack: Stack, on: Collection[str]) -> list[Component]:
    """Return the components of a stack that are in no group, or in one that is on.

    Raises `UsageError` if one of them needs a component of a group that is off.
    """
    grouped = first_groups(stack.groups)
    wanted = {each for name, members in stack.groups.items() if name in on for each in members}
    chosen = [each for each in stack if each.name not in grouped or each.name in wanted]
    names = {each.name for each in chosen}
    for component in chosen:
        for used in related(component):
            if used not in names:
                group = grouped[used]
                options = " ".join(f"--with {name}" for name in stack.groups if name in on or name == group)
                raise UsageError(
                    f"{component.name} needs {used}, which is in the group {group!r}, and that is off",
                    f"`stackctl up {options}` turns it on",
                )
    return [component.preceding(names) for component in chosen]
