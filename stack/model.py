"""What a stack is made of: frozen values that do nothing.

Constructing a wrong value raises `DeclarationError` at once, with a path to it: `web/port: 80000 is not a port
(1-65535)`. Nothing here knows an engine: a component says how it runs in a container and as a process, an engine
renders that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Literal, Self

from stack.calls import check_call
from stack.errors import DeclarationError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# Around a reference in a text. Unicode keeps these for a program's own use: no text has them.
_BEGIN, _END = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_BEGIN}([^.{_BEGIN}{_END}]+)\\.([a-z]+){_END}")
# What is left of one, also after JSON, a URL or `repr`.
_TRACE = re.compile(rf"[{_BEGIN}{_END}]|\\ufdd[01]|%EF%B7%9[01]|Reference\(component=", re.IGNORECASE)


class Secret:
    """A value that shows itself to nobody: `repr` and `str` are `***`. `reveal()` gives it away on purpose."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Reference:
    """A fact about a component that only the engine knows.

    `host` and `port` are where it answers, `bind` is the address that it has to listen on. Of a process there are also
    `data`, the folder that is its own, `socket`, the folder for its unix sockets, and `access`, the file that says who
    may use it. As text, in an f-string, it is a mark from which `deferred` makes a `Text`.
    """

    component: str
    field: str

    def __str__(self) -> str:
        return f"{_BEGIN}{self.component}.{self.field}{_END}"

    def __format__(self, how: str) -> str:
        if how:
            problem = f"only the engine knows it, so it can't be formatted as {how!r}"
            raise DeclarationError(f"{self.component}/{self.field}", problem, "write it without a format")
        return str(self)


@dataclass(frozen=True)
class SecretReference(Reference):
    """A secret of a component. A process gets it as the path of a file, never as a value."""

    @property
    def id(self) -> str:
        """The name of its file: `db_password`."""
        return f"{variable_prefix(self.component).lower()}_{self.field}"

    def __str__(self) -> str:
        variable = f"{variable_prefix(self.component)}_{self.field.upper()}_FILE"
        raise DeclarationError(
            f"{self.component}/{self.field}",
            "is a secret, which can't stand in a text: an environment is seen by many",
            f'give it by itself, environment={{"{variable}": {self.component}.{self.field}}}; the app reads that file',
        )


@dataclass(frozen=True)
class Text:
    """Text with references in it that the engine resolves."""

    parts: tuple[str | Reference, ...]


Value = str | Reference | Text
"""A value in an environment or a word of a command: text, or something that the engine resolves."""


def deferred(text: str) -> str | Text:
    """Find the references that a stack file has put into a text.

    Raises `ValueError` for one that is no longer whole, because the text was changed or encoded afterwards.
    """
    names = _MARK.split(text)
    literals, references = names[::3], map(Reference, names[1::3], names[2::3])
    if any(_TRACE.search(literal) for literal in literals):
        raise ValueError("holds a reference that was changed as text; only the engine knows what it stands for")
    if len(literals) == 1:
        return text
    pairs = itertools.zip_longest(literals, references)
    return Text(tuple(part for pair in pairs for part in pair if part))


def references_in(value: Value) -> tuple[Reference, ...]:
    parts = value.parts if isinstance(value, Text) else (value,)
    return tuple(part for part in parts if isinstance(part, Reference))


def resolved(value: Value, resolve: Callable[[Reference], str]) -> str:
    """The text of a value, with what `resolve` knows of each reference."""
    parts = value.parts if isinstance(value, Text) else (value,)
    return "".join(resolve(part) if isinstance(part, Reference) else part for part in parts)


@dataclass(frozen=True)
class Port:
    """A port of a container, published on the loopback address of the host."""

    container: int
    host: int


@dataclass(frozen=True)
class Volume:
    """A named volume: data that outlives its container."""

    name: str
    target: str


@dataclass(frozen=True)
class Healthcheck:
    """How a container is asked for its health. `test` None asks as the image's own HEALTHCHECK says. In seconds.

    `start_period` ends with the first good answer. It is longer than any wait for a start: an engine that calls a slow
    component unhealthy gives up on what uses it, whatever the timeout of `up`.
    """

    test: tuple[str, ...] | None
    interval: float = 10
    timeout: float = 5
    retries: int = 3
    start_period: float = 3600
    start_interval: float = 0.5


@dataclass(frozen=True)
class Limits:
    """What a container may use: memory in MiB, CPUs, processes and threads."""

    memory: int
    cpus: float
    pids: int


@dataclass(frozen=True)
class Container:
    """How a component runs in a container; everything an engine for containers has to know.

    Exactly one of `image` (a name) and `source` (a folder with a Dockerfile, relative to the stack file) is set.
    `stop_grace` is the time in seconds between the stop signal and the kill.
    """

    limits: Limits
    user: str
    stop_grace: int
    image: str | None = None
    source: str | None = None
    command: tuple[Value, ...] | None = None
    environment: Mapping[str, Value] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    tmpfs: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    secrets: tuple[SecretReference, ...] = ()


@dataclass(frozen=True)
class Process:
    """How a component runs as a process of this machine; everything that an engine for processes has to know.

    `command` begins with the name of a program. `source` is the working folder, relative to the stack file, where
    the component has one. `stop_signal` asks it to end, `stop_grace` is the time in seconds from there to the kill.
    """

    command: tuple[Value, ...]
    stop_signal: Literal["TERM", "INT"]
    stop_grace: int
    source: str | None = None
    environment: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """One declared part of a stack. Subclasses live in `stack/components/`, one file each."""

    name: str

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DeclarationError(
                type(self).__name__, f"{self.name!r} is not a name (a-z, 0-9 and -, at most 31, a letter first)"
            )
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Reference) or (isinstance(value, str) and _TRACE.search(value)):
                raise self.wrong(each.name, "is a reference; these stand in `environment` and in `command` alone")

    @property
    def role(self) -> str:
        """What it is, for people: `PostgreSQL`, `Redis`, `web app`."""
        raise NotImplementedError

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the components that it uses."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the components that stackctl asks to inspect it."""
        return ()

    @property
    def listens(self) -> int:
        """The port that it listens on in its container."""
        raise NotImplementedError

    def gives(self, exposed: bool = False) -> Mapping[str, Value]:
        """What those who use it get in their environment, by the end of the variable: `HOST`, `PASSWORD_FILE`.

        `exposed` where others than those can reach it, as every user of a machine reaches its loopback address.
        """
        raise NotImplementedError

    def secrets(self, exposed: bool = False) -> tuple[SecretReference, ...]:
        """The secrets that belong to it and are generated for an instance; `exposed` as in `gives`."""
        return ()

    def container(self) -> Container:
        """How it runs in a container, without what the components that it uses give to it."""
        raise NotImplementedError

    def process(self) -> Process:
        """The same for a process. Raises `DeclarationError` for what is declared for a container alone."""
        raise NotImplementedError

    def wrong(self, field: str, problem: str) -> DeclarationError:
        return DeclarationError(f"{self.name}/{field}", problem)


@dataclass(frozen=True)
class Stack:
    """The declared whole: a name and its components, in the order in which they are shown.

    Raises `DeclarationError` when a name stands twice, a used component is missing, components use each other in
    a circle, a variable is given twice, or two components publish one port.
    """

    name: str
    components: tuple[Component, ...]

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __init__(self, name: str, components: Sequence[Component]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "components", sequence("components", components))
        self.__post_init__()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DeclarationError("Stack", f"{self.name!r} is not a name (a-z, 0-9 and -, at most 31, a letter first)")
        self._check_components()
        self._check_uses()
        self._check_cycles()
        self._check_reads()
        self._check_environments()
        self._check_ports()

    def __iter__(self) -> Iterator[Component]:
        return iter(self.components)

    def __getitem__(self, name: str) -> Component:
        return self._by_name[name]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.components)

    @cached_property
    def _by_name(self) -> Mapping[str, Component]:
        return {component.name: component for component in self.components}

    def depth(self, name: str) -> int:
        """How many uses lie below a component: 0 for one that uses none."""
        return max((1 + self.depth(used) for used in self[name].needs), default=0)

    def secrets(self, exposed: bool = False) -> tuple[SecretReference, ...]:
        return tuple(secret for component in self.components for secret in component.secrets(exposed))

    def container(self, name: str) -> Container:
        """How a component runs in a container, with what the components that it uses give to it."""
        own = self[name].container()
        environment = self._given(name, exposed=False) | dict(own.environment)
        needed = [value for value in environment.values() if isinstance(value, SecretReference)]
        return replace(own, environment=environment, secrets=tuple(dict.fromkeys([*own.secrets, *needed])))

    def process(self, name: str) -> Process:
        """The same for a process of this machine, where others can reach it too."""
        try:
            own = self[name].process()
        except DeclarationError as error:
            raise DeclarationError(f"{self.name}/{error.path}", error.problem, error.hint) from error
        return replace(own, environment=self._given(name, exposed=True) | dict(own.environment))

    def _given(self, name: str, exposed: bool) -> dict[str, Value]:
        return {
            f"{variable_prefix(used)}_{suffix}": value
            for used in self[name].needs
            for suffix, value in self[used].gives(exposed).items()
        }

    def wrong(self, path: str, problem: str) -> DeclarationError:
        return DeclarationError(f"{self.name}/{path}", problem)

    def _check_components(self) -> None:
        if not self.components:
            raise self.wrong("components", "is empty; a stack has at least one component")
        for position, component in enumerate(self.components):
            if not isinstance(component, Component):
                raise self.wrong(f"components/{position}", f"{component!r} is not a component")
        for name in self.names:
            if self.names.count(name) > 1:
                raise self.wrong(name, "stands twice; a name belongs to one component")

    def _check_uses(self) -> None:
        for component in self.components:
            for used in component.needs:
                if used not in self.names:
                    raise self.wrong(
                        f"{component.name}/uses", f"{used!r} is not in the stack (it has {', '.join(self.names)})"
                    )

    def _check_reads(self) -> None:
        for component in self.components:
            for read in component.reads:
                if read not in self.names:
                    raise self.wrong(
                        f"{component.name}/inspect",
                        f"reads {read!r}, which is not in the stack (it has {', '.join(self.names)})",
                    )

    def _check_cycles(self) -> None:
        def walk(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                circle = " -> ".join((*trail[trail.index(name) :], name))
                raise self.wrong(f"{trail[0]}/uses", f"goes in a circle: {circle}")
            for used in self[name].needs:
                walk(used, (*trail, name))

        for name in self.names:
            walk(name, ())

    def _check_environments(self) -> None:
        for component in self.components:
            container = component.container()
            for variable, value in container.environment.items():
                path = f"{component.name}/environment/{variable}"
                self._check_references(component, path, value)
                for used in component.needs:
                    suffixes = self[used].gives(exposed=True)
                    if variable in {f"{variable_prefix(used)}_{suffix}" for suffix in suffixes}:
                        raise self.wrong(path, f"is given by {used!r} already; choose another name")
            for word in container.command or ():
                self._check_references(component, f"{component.name}/command", word)

    def _check_references(self, component: Component, path: str, value: Value) -> None:
        for reference in references_in(value):
            if reference.component not in (component.name, *component.needs):
                raise self.wrong(path, f"refers to {reference.component!r}, which is not in its uses")

    def _check_ports(self) -> None:
        published: dict[int, str] = {}
        for component in self.components:
            for port in component.container().ports:
                if port.host in published:
                    raise self.wrong(
                        f"{component.name}/publish", f"{port.host} is published by {published[port.host]!r} already"
                    )
                published[port.host] = component.name


def variable_prefix(name: str) -> str:
    """The start of the variables that a component gives: `orders-db` gives `ORDERS_DB_HOST`."""
    return name.upper().replace("-", "_")


def sequence(path: str, value: object) -> tuple[object, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise DeclarationError(path, f"{value!r} is not a list")
    return tuple(value)
