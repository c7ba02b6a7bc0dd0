"""Find which services name each other: in what they wait for, and by host names in their texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from stack.errors import ExitCode, StackError
from stack.frozen import dataclass
from stack.importing.project import Project, Service, texts

# A variable whose whole value is the name of a host.
_OF_HOST = re.compile(r"HOST|SERVER|ADDR|ENDPOINT|UR[LI]|BROKER|NODE|UPSTREAM|BACKEND|LOCATION", re.IGNORECASE)
# A variable whose whole value is no host, though it may be called like one.
_OF_OTHERS = re.compile(
    r"(?:USER|USERNAME|PASS|PASSWORD|PWD|DB|DATABASE|NAME|SCHEMA|ENV|TITLE|PREFIX|KEY|SECRET)$", re.IGNORECASE
)
_USER_INFO = re.compile(r"[^/\s,?#]*@")
# What stands before a host in the arguments of common programs.
_ARGUMENT = re.compile(r"(?:(?:^|\s)(?:-h|--host(?:name)?|nc|-z|wait-for\S*)\s+|host\w*=\s*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """The place of a host in a text, with its port if that stands behind it."""

    service: str
    start: int
    end: int
    port: int | None
    # Where the host ends.
    host_end: int


class Hosts:
    """The names of hosts of a project, as a pattern."""

    def __init__(self, project: Project) -> None:
        self.owners: dict[str, str] = {}
        for name, service in project.services.items():
            for host in service.hosts:
                if host == name or host not in project.services:
                    self.owners.setdefault(host, name)
        listed = "|".join(map(re.escape, sorted(self.owners, key=len, reverse=True)))
        self._pattern = re.compile(rf"(?<![\w.-])(?P<host>{listed})(?::(?P<port>\d{{2,5}}))?(?![\w-])(?!\.\w)")

    def mentions(self, text: str, variable: str = "", loose: bool = False) -> Iterator[Mention]:
        """Yield the hosts in a text, which is the value of a variable, or with an empty name anything else.

        `loose`: a value that is the name of a service may be no host, and still tells what is used: `CACHE=redis`.
        """
        for found in self._pattern.finditer(text):
            if self._is_host(text, found, variable) or (loose and self._is_told(text, found, variable)):
                port = int(found["port"]) if found["port"] else None
                yield Mention(self.owners[found["host"]], found.start(), found.end(), port, found.end("host"))

    def _is_host(self, text: str, found: re.Match[str], variable: str) -> bool:
        before, after = text[: found.start()], text[found.end() :]
        if before.endswith("://"):
            return _USER_INFO.match(after) is None
        if before.endswith("@") or _ARGUMENT.search(before):
            return True
        if found["port"]:
            return not after.startswith("@")
        listed = not before.strip() or before.rstrip().endswith(",")
        alone = listed and (not after.strip() or after.lstrip().startswith(","))
        return alone and _OF_HOST.search(variable) is not None

    @staticmethod
    def _is_told(text: str, found: re.Match[str], variable: str) -> bool:
        return found[0] == text.strip() and bool(variable) and not _OF_OTHERS.search(variable)


@dataclass(frozen=True)
class Relations:
    """What each service waits for and names. `files` has the texts of the files that a service finds in its folders."""

    project: Project
    hosts: Hosts
    files: Mapping[str, Sequence[str]]

    def waits(self, name: str) -> tuple[str, ...]:
        """Return those that it waits for, as it is declared."""
        service = self.project.services[name]
        linked = [str(each).partition(":")[0] for each in service.plain.get("links") or ()]
        return tuple(dict.fromkeys(each for each in (*service.needs, *linked) if each in self.project.services))

    @cached_property
    def named(self) -> Mapping[str, tuple[str, ...]]:
        """Those that each service names in a text, itself excepted."""
        return {name: self._named(service) for name, service in self.project.services.items()}

    def _named(self, service: Service) -> tuple[str, ...]:
        found = [
            mention.service
            for variable, value in service.values.items()
            for mention in self.hosts.mentions(value, variable, loose=True)
        ]
        others = (*texts(_searched(service)), *self.files.get(service.name, ()))
        found += [mention.service for text in others for mention in self.hosts.mentions(text)]
        return tuple(name for name in dict.fromkeys(found) if name != service.name)

    def users(self, name: str) -> tuple[str, ...]:
        """Return the services that wait for one, or name it."""
        return tuple(other for other in self.project.services if name in self.waits(other) or name in self.named[other])

    def is_called(self, name: str, host: str) -> bool:
        """Say whether something that stays as it is, a script or a file, has this name of a service."""
        told = (
            text
            for other in self.project.services.values()
            if other.name != name
            for text in (*texts(_searched(other)), *self.files.get(other.name, ()))
        )
        return any(
            mention.service == name and text[mention.start : mention.host_end] == host
            for text in told
            for mention in self.hosts.mentions(text)
        )

    def finds(self, user: str, name: str) -> bool:
        """Say whether a service has the host of another in a variable."""
        values = self.project.services[user].values
        return any(
            mention.service == name
            for variable, value in values.items()
            for mention in self.hosts.mentions(value, variable)
        )

    def unclaimed(self) -> str:
        """Return a service that waits for nothing, and that nothing else names or publishes; if there is none, nothing.

        It is there for something, which finds it by a name that is in code.
        """
        for name, service in self.project.services.items():
            alone = not self.waits(name) and not self.named[name] and not self.users(name) and not service.ports
            if alone and len(self.project.services) > 1 and service.restart not in ("no", "on-failure"):
                return name
        return ""

    def ports_named(self, name: str) -> tuple[int, ...]:
        """Return the ports of a service that others name."""
        found = [
            mention.port
            for service in self.project.services.values()
            if service.name != name
            for variable, value in service.values.items()
            for mention in self.hosts.mentions(value, variable)
            if mention.service == name and mention.port is not None
        ]
        return tuple(dict.fromkeys(found))

    def below(self, name: str) -> frozenset[str]:
        """Return all that a service waits for, those for which these wait too."""
        found: set[str] = set()
        left = [name]
        while left:
            for other in self.waits(left.pop()):
                if other not in found:
                    found.add(other)
                    left.append(other)
        return frozenset(found)

    def check(self) -> None:
        """Raise `compose-refused` for services that wait for each other, and for what is not there."""
        for name in self.project.services:
            if circle := self._circle(name, (name,)):
                problem = f"services wait for each other in a circle: {' → '.join(circle)}"
                raise _refused(problem, "take one of these out of `depends_on`: Compose starts no such project")
            for other, how in self.project.services[name].needs.items():
                if other not in self.project.services and how.get("required", True):
                    problem = f"{name} depends on {other}, which is not in the project"
                    raise _refused(problem, f"add the file that declares {other}, or take it out of `depends_on`")

    def _circle(self, start: str, path: tuple[str, ...]) -> tuple[str, ...]:
        for other in self.waits(path[-1]):
            if other == start:
                return (*path, start)
            if other not in path and start in self.below(other):
                return self._circle(start, (*path, other))
        return ()


def _searched(service: Service) -> list[object]:
    return [service.plain.get(key) for key in ("command", "entrypoint", "healthcheck", "labels")]


def _refused(problem: str, hint: str) -> StackError:
    error = StackError("compose-refused", problem, hint)
    error.exit_code = ExitCode.USAGE
    return error
