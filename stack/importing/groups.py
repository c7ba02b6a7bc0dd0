"""Turn profiles into groups: components that are off until they are asked for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stack.importing.names import component_name
from stack.importing.project import Notes, Project
from stack.importing.relations import Relations


def grouped(
    project: Project, relations: Relations, servers: Collection[str], notes: Notes
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    """Return the groups of each service, and for those in one the services that name it and are always on.

    These can't name what may be off; so what is off reaches them, which is the same network.
    """
    profiles = {
        name: [str(each) for each in service.plain.get("profiles") or ()] for name, service in project.services.items()
    }
    on = {name for name, each in profiles.items() if not each or set(each) & set(project.profiles)}
    if not on:
        first = _first(project, profiles)
        on = {name for name, each in profiles.items() if first in each}
        notes.decide("", "profiles", f"what is in {first!r} is always on: a stack has something that is in no group")
    off: set[str] = set()
    while True:
        found = _needed(project, relations, servers, on)
        if found <= on:
            break
        off |= found - on
        on |= found
    for name in sorted(off):
        notes.decide(name, "profiles", "always on, because what is always on needs it")
    groups = {
        name: () if name in on else tuple(component_name(each, "group") for each in names)
        for name, names in profiles.items()
    }
    reached = {
        name: tuple(other for other in on if name in relations.named[other] and other not in servers)
        for name in profiles
        if name not in on
    }
    return groups, reached


def _first(project: Project, profiles: Mapping[str, list[str]]) -> str:
    """Return the profile with the most services."""
    counts: dict[str, int] = {}
    for names in profiles.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name])


def _needed(project: Project, relations: Relations, servers: Collection[str], on: Collection[str]) -> set[str]:
    """Return what is always on, with what that can't be without."""
    found = set(on)
    for name in on:
        service = project.services[name]
        for other in relations.waits(name):
            if service.needs.get(other, {}).get("required", True):
                found.add(other)
        found |= {other for other in relations.named[name] if other in servers}
    return found
