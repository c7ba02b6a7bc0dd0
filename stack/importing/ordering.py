"""Put components into an order in which a stack file can declare them: each after those that it names. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stack.frozen import dataclass
from stack.importing.project import Project
from stack.importing.relations import Relations
from stack.importing.roles import Roles


@dataclass(frozen=True)
class Ordered:
    """The services in their order, and those that each can name by a variable."""

    names: Sequence[str]
    known: Mapping[str, frozenset[str]]


def ordered(project: Project, relations: Relations, servers: Collection[str], roles: Roles) -> Ordered:
    edges: dict[str, list[str]] = {name: [] for name in project.services}
    for name in project.services:
        if name in servers:
            continue
        if name in roles.beside:
            edges[name].append(roles.beside[name])
        for other in relations.waits(name):
            # A job names those that wait for it.
            first, then = (other, name) if other in roles.jobs else (name, other)
            if then not in edges[first]:
                edges[first].append(then)
    for name in project.services:
        for other in relations.named[name] if name not in servers else ():
            if other not in roles.jobs and other not in edges[name] and name not in _reached(edges, other):
                edges[name].append(other)
    names: list[str] = []
    stores = [name for name in project.services if name in servers]
    for name in (*stores, *project.services):
        _visit(name, edges, names)
    known = {name: frozenset(other for other in edges[name] if other not in roles.jobs) for name in project.services}
    return Ordered(names, known)


def _reached(edges: Mapping[str, Sequence[str]], start: str) -> frozenset[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for other in edges[left.pop()]:
            if other not in found:
                found.add(other)
                left.append(other)
    return frozenset(found)


def _visit(name: str, edges: Mapping[str, Sequence[str]], names: list[str]) -> None:
    if name in names:
        return
    for other in edges[name]:
        _visit(other, edges, names)
    names.append(name)
