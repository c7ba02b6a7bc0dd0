"""Every instance of this machine, and on servers: what this user made, and what the engines find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from stack.engines.fleets import FLEETS, fleet_of_server
from stack.errors import StackError
from stack.frozen import dataclass
from stack.observed import Found, ListedState, instance_state, is_running
from stack.registry import Entry, Registry, is_gone
from stack.settings import Settings
from stack.workload import LOCALHOST, WEB, PortId


@dataclass(frozen=True)
class Member:
    """One instance. `entry`: as this user made it; `found`: what there is of it, as far as its engine was asked."""

    engine: str
    project: str
    instance: str
    entry: Entry | None
    found: Found | None
    asked: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other."""
        return self.engine, self.project

    @property
    def states(self) -> tuple[Path, ...]:
        """The folders that may be its state: after a move some of its parts still name the old one."""
        named = [*([self.entry.state] if self.entry else []), *(self.found.states if self.found else ())]
        return tuple(dict.fromkeys(named))

    @property
    def host(self) -> str | None:
        """The server that it is on, if it is on one."""
        return self.entry.host if self.entry else None

    @property
    def orphaned(self) -> bool:
        """Whether its state is certainly gone."""
        return bool(self.states) and all(map(is_gone, self.states))

    @property
    def running(self) -> bool:
        return self.found is not None and is_running(self.found.components)

    @property
    def condition(self) -> ListedState:
        """Return the state of the whole, as `status` does, if its state directory and its engine are there."""
        if self.orphaned:
            return "orphaned"
        if not self.asked:
            return "unknown"
        return instance_state(self.found.components if self.found else {})

    @property
    def urls(self) -> Mapping[PortId, str]:
        """Where it answers now."""
        ports = self.found.ports if self.found and self.running else {}
        known = self.entry.urls if self.entry else {}
        return {
            name: known.get(name, WEB).replace("{port}", str(port)).replace(LOCALHOST, self._host(name), 1)
            for name, port in ports.items()
        }

    def _host(self, port: PortId) -> str:
        return (self.found.addresses.get(port.component) if self.found else None) or LOCALHOST

    @property
    def created(self) -> datetime | None:
        if self.entry is not None:
            return datetime.fromisoformat(self.entry.created)
        return self.found.since if self.found else None


@dataclass(frozen=True)
class Gathered:
    """All instances that were found, and by engine why one could not be asked."""

    members: tuple[Member, ...]
    silent: Mapping[str, StackError]

    def silent_lines(self, named: str | None, every: bool = False) -> list[str]:
        """Say, for people, what is unknown, and why. `named`: the engine that was asked for.

        Nothing is missing from an engine that has no instance, as Docker on a machine without it, unless `every` one
        is asked for.
        """
        concerned = {named, *(member.host or member.engine for member in self.members)}
        return [
            f"{name} can't be asked: {error.message}"
            for name, error in self.silent.items()
            if every or name in concerned
        ]


def gather(settings: Settings, servers: bool = False) -> Gathered:
    """Find all instances of this machine, and with `servers` those that this user has on servers.

    Runs no declaration: it may be broken, or gone. The instance and the engine of the settings narrow it.
    """
    every = Registry(settings.registry).entries()
    entries = [entry for entry in every if entry.host is None]
    found: dict[tuple[str, str], Found] = {}
    silent: dict[str, StackError] = {}
    for name, fleet in FLEETS.items():
        if settings.engine not in (None, name):
            continue
        try:
            found |= {(name, each.project): each for each in fleet.find(entries)}
        except StackError as error:
            silent[name] = error
    known = {(entry.engine, entry.project): entry for entry in entries}
    members = [_member(key, known.get(key), found.get(key), key[0] not in silent) for key in {**known, **found}]
    if servers and (remote := [entry for entry in every if entry.host is not None and _is_named(entry, settings)]):
        theirs, unreachable = _on_servers(remote)
        members, silent = [*members, *theirs], {**silent, **unreachable}
    wanted = [member for member in members if _is_wanted(member, settings)]
    return Gathered(tuple(sorted(wanted, key=lambda each: (each.instance, each.engine, each.project))), silent)


def sizes_of(gathered: Gathered) -> dict[tuple[str, str], int]:
    """Return the bytes of the data of instances on this machine, by engine and project, as far as they are known."""
    sizes: dict[tuple[str, str], int] = {}
    for name, fleet in FLEETS.items():
        found = [
            member.found
            for member in gathered.members
            if member.found is not None and member.engine == name and not member.host
        ]
        try:
            known: Mapping[str, int] = fleet.sizes(found) if found else {}
        except StackError:
            # It takes too long just now; the rest is worth telling.
            known = {}
        sizes |= {(name, project): bytes_ for project, bytes_ in known.items()}
    return sizes


def _is_named(entry: Entry, settings: Settings) -> bool:
    return settings.instance in (None, entry.instance) and settings.engine in (None, entry.engine)


def _on_servers(entries: Sequence[Entry]) -> tuple[list[Member], dict[str, StackError]]:
    """Ask all servers at once for these instances. Return them, and by address why a server could not be asked."""
    hosts = list(dict.fromkeys(entry.host for entry in entries if entry.host is not None))
    with ThreadPoolExecutor(len(hosts)) as pool:
        answers = dict(zip(hosts, pool.map(lambda host: _ask_server(host, entries), hosts), strict=True))
    silent = {host: answer for host, answer in answers.items() if isinstance(answer, StackError)}
    found = {each.project: each for answer in answers.values() if not isinstance(answer, StackError) for each in answer}
    members = [
        _member((entry.engine, entry.project), entry, found.get(entry.project), entry.host not in silent)
        for entry in entries
    ]
    return members, silent


def _ask_server(host: str, entries: Sequence[Entry]) -> list[Found] | StackError:
    try:
        return fleet_of_server(host).find(entries)
    except StackError as error:
        return error


def _member(key: tuple[str, str], entry: Entry | None, found: Found | None, asked: bool) -> Member:
    instance = entry.instance if entry else found.instance if found else ""
    return Member(key[0], key[1], instance, entry, found, asked)


def _is_wanted(member: Member, settings: Settings) -> bool:
    return settings.instance in (None, member.instance) and settings.engine in (None, member.engine)
