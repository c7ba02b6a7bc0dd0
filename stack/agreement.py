"""Check what the components of a stack have to agree on: the volumes that they share, and their groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from stack.calls import check_name
from stack.errors import DeclarationError, UsageError
from stack.workload import Target, Volume, Workload

if TYPE_CHECKING:
    from stack.model import Component, Stack


@dataclass(frozen=True)
class SharedVolume:
    """A volume that belongs to no component, with the `users` that have it and their user and group in numbers.

    `owner` None: the user of their images. `backup`: snapshots have it.
    """

    name: str
    owner: str | None
    backup: bool
    users: tuple[str, ...]


def shared_volumes(stack: Stack) -> dict[str, SharedVolume]:
    found: dict[str, SharedVolume] = {}
    for component in stack:
        workload = component.workload("container")
        for volume in workload.volumes:
            if volume.shared:
                before = found.get(volume.id)
                users = (*before.users, component.name) if before else (component.name,)
                found[volume.id] = SharedVolume(volume.id, workload.hardening.owner, volume.backup, users)
    return found


def check_volumes(stack: Stack) -> None:
    """Check that each volume has one name, one owner and one way to be saved, and none the name of another."""
    owners: dict[str, tuple[str, Workload, Volume]] = {}
    for component in stack:
        workload = component.workload("container")
        for volume in workload.volumes:
            path = f"{component.name}/volumes/{volume.id.name or volume.id}"
            if volume.shared and volume.id in stack.names:
                raise stack.wrong(path, f"{str(volume.id)!r} is the name of a component; choose another for the volume")
            other, theirs, same = owners.setdefault(volume.base, (component.name, workload, volume))
            if same.id != volume.id:
                raise stack.wrong(
                    path, f"would be called {volume.base!r}, as a volume of {other!r} is; choose another name"
                )
            if same.backup != volume.backup:
                raise stack.wrong(
                    path, f"is declared with backup={volume.backup}, and with backup={same.backup} in {other!r}"
                )
            mine, its = (each.hardening.user or "the user of its image" for each in (workload, theirs))
            if volume.shared and mine != its:
                raise stack.wrong(
                    path,
                    f"belongs to {mine} here and to {its} in {other!r}; a volume has one owner, so give both "
                    "the same `user`",
                )


def check_ports(stack: Stack) -> None:
    """Check that no two components publish one port, unless they are alternatives: each in groups of its own."""
    published: dict[tuple[int | None, bool], list[str]] = {}
    for component in stack:
        for port in component.workload("container").published:
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
    grouped = {each for members in checked.values() for each in members}
    if grouped.issuperset(stack.names):
        raise stack.wrong(
            "groups", "hold every component; one at least is in no group, because groups are off at first"
        )
    for component in stack:
        for used in related(component) if component.name not in grouped else ():
            if used in grouped:
                group = next(name for name, members in checked.items() if used in members)
                raise stack.wrong(
                    f"groups/{group}",
                    f"has {used!r}, which {component.name!r} needs and which is off at first; put {component.name!r} "
                    "into the group too, or leave the other out",
                )
    return MappingProxyType(checked)


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
            raise stack.wrong(path, f"{name!r} is not in the stack (it has {', '.join(stack.names)})")
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
    grouped = {each for members in stack.groups.values() for each in members}
    wanted = {each for name, members in stack.groups.items() if name in on for each in members}
    chosen = [each for each in stack if each.name not in grouped or each.name in wanted]
    names = {each.name for each in chosen}
    for component in chosen:
        for used in related(component):
            if used not in names:
                group = next(name for name, members in stack.groups.items() if used in members)
                options = " ".join(f"--with {name}" for name in stack.groups if name in on or name == group)
                raise UsageError(
                    f"{component.name} needs {used}, which is in the group {group!r}, and that is off",
                    f"`stackctl up {options}` turns it on",
                )
    return [component.preceding(names) for component in chosen]
