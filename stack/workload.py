"""What a component runs, as an engine sees it: image or command, environment, ports, volumes, readiness, hardening.

Frozen values. A component describes itself for each target, a container or a process of this machine; an engine
renders that and needs to know nothing of the kind of component.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Literal, Self

from stack.frozen import dataclass
from stack.parameters import Parameter
from stack.references import Reference, SecretReference, Value, expanded, parameters_in, secrets_in

Target = Literal["container", "process"]
"""What an engine runs. Every user of a machine reaches its processes; a container is reached by what uses it alone."""
TARGETS: tuple[Target, ...] = ("container", "process")
StopSignal = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
"""What asks a component to end."""
Restart = Literal["always", "on-failure", "no"]
"""When an engine starts a component again that ended by itself; `on-failure`: unless it ended with 0."""
HOST_GATEWAY = "host-gateway"
"""Stands for the address of the machine that a container runs on."""

LOCALHOST = "localhost"
"""The name of this machine in the URL of a port."""
WEB = "http://localhost:{port}"
"""The URL of a port, unless its component says otherwise."""
UDP = "udp://localhost:{port}"
"""That of a port which takes datagrams."""

_NUMBERS = re.compile(r"[0-9]+:[0-9]+")
DOCKERFILE = "Dockerfile"
"""What the file is called that says how an image is made of a source, unless it is declared."""


class PortId(str):
    """A port of a component: `web` for the one that needs no name, `search:console` for one with a name.

    It is text, so that it may be a key of JSON. No name has a colon.
    """

    __slots__ = ()

    @classmethod
    def of(cls, component: str, name: str = "") -> Self:
        return cls(f"{component}:{name}" if name else component)

    @property
    def component(self) -> str:
        return self.partition(":")[0]

    @property
    def name(self) -> str:
        return self.partition(":")[2]

    @property
    def typed(self) -> str:
        """How the command line names it: `search.console`."""
        return self.replace(":", ".")


class VolumeId(PortId):
    """A volume of a component: `db` for the one that needs no name, `search:index` for one with a name."""

    __slots__ = ()


@dataclass(frozen=True)
class Port:
    """A port that a component listens on: `number` in its container.

    `publish`: the port of this machine on which it is published, on the loopback address; None if it is not. `public`:
    on every address of the machine. `url`: how clients of this machine name it then, with `{port}` for that port.
    `udp`: it takes datagrams.
    """

    id: PortId
    number: int
    publish: int | None = None
    url: str = WEB
    udp: bool = False
    public: bool = False

    @property
    def on_network(self) -> str:
        """The number with the protocol, as Docker writes it: `53/udp`."""
        return f"{self.number}/{'udp' if self.udp else 'tcp'}"


@dataclass(frozen=True)
class Volume:
    """A named volume: data that outlives its component, at `target` in its container.

    One that is `shared` belongs to no component, and its id is its own name. `base`: what an engine for containers
    calls its first revision. `initialized`: a process makes the folder by itself, and takes one that is there for
    complete. `owned`: a new one is given to the user that a container runs as; else it has the owner that the image
    gives this folder, and begins with what is in that. `open`: if that user is not known by its numbers, every user
    may write to it. `backup`: snapshots have it. `read_only`: the component can't write to it in a container.
    """

    id: VolumeId
    base: str
    target: str
    initialized: bool = False
    owned: bool = False
    shared: bool = False
    backup: bool = True
    open: bool = False
    read_only: bool = False


@dataclass(frozen=True)
class File:
    """A file that a container finds at `target` and can't change. `name` is unique in a stack.

    It holds `text`, or what is at `source`, a file or folder relative to the stack file. `Reference(…, "file", KEY)` is
    where it is, for the name `COMPONENT.KEY`. `tracked`: with another content the component is recreated, and a process
    finds it too.
    """

    name: str
    target: str
    text: str = ""
    source: str | None = None
    tracked: bool = False


@dataclass(frozen=True)
class Mount:
    """A folder of the project that a container sees at `target` as it is, and can't change unless it is `writable`.

    `source` is relative to the stack file.
    """

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Healthcheck:
    """How a container is asked for its health. In seconds.

    `test` None asks as the image's own HEALTHCHECK says; an empty one asks nothing, whatever the image says.

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
class HttpCheck:
    """A request that a component answers with 200 once it and what it uses work, sent if this machine reaches it."""

    port: PortId
    path: str


@dataclass(frozen=True)
class TcpCheck:
    """A connection from outside that a published component accepts, and does not close at once, when it works."""

    port: PortId


@dataclass(frozen=True)
class Limits:
    """What a component may use: memory in MiB, CPUs, processes and threads.

    `ulimits`: of each process of a container, by their names as in `man setrlimit`; -1 for none.
    """

    memory: int
    cpus: float
    pids: int
    ulimits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hardening:
    """What a container may do beyond its work. Each default is the safe one; `user` None: the image's own user.

    `egress`: it may reach what is outside the stack. `tmpfs`: folders that it may write to, in memory, each with the
    options of its mount after a colon. `shm`: the MiB of its /dev/shm, None for the engine's default. `extra_hosts`:
    the addresses of names of hosts outside the stack. `mounts`: folders of the project that it sees.
    """

    user: str | None
    read_only: bool = True
    tmpfs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    new_privileges: bool = False
    egress: bool = False
    shm: int | None = None
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()

    @property
    def owner(self) -> str | None:
        """The user and group that a new volume is given to, in numbers; None: it has what the image has there."""
        return self.user if self.user is not None and _NUMBERS.fullmatch(self.user) else None

    @property
    def relaxed(self) -> tuple[str, ...]:
        """What it allows beyond the safe defaults, for people; that a component reaches the outside is no exception."""
        mounted = ", ".join(each.source for each in self.mounts)
        written = ", ".join(each.source for each in self.mounts if each.writable)
        allowed = {
            "runs as the user of its image, which may be root": self.user is None,
            "may write to its root file system": not self.read_only,
            f"has the capabilities {', '.join(self.capabilities)}": bool(self.capabilities),
            "may gain privileges": self.new_privileges,
            "reaches this machine": HOST_GATEWAY in self.extra_hosts.values(),
            f"mounts {mounted} of the project, for development": bool(mounted),
            f"may write to {written} of the project": bool(written),
        }
        return tuple(what for what, holds in allowed.items() if holds)


@dataclass(frozen=True)
class Build:
    """How an image is made of a source: the stage of its Dockerfile to stop at, and the values of its arguments.

    `dockerfile`: the path of the Dockerfile in the source.
    """

    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    dockerfile: str = DOCKERFILE


@dataclass(frozen=True)
class Once:
    """How a component runs that ends: from its start to exit code 0, before what waits for it starts.

    `always`: at each `up`, and not only after something changed. `timeout`: the seconds after which it is stopped.
    """

    always: bool
    timeout: int


@dataclass(frozen=True)
class Workload:
    """What a component runs on one target.

    A container has exactly one of `image` (a name) and `source` (a folder with a Dockerfile, relative to the stack
    file); a process has a `command`, which begins with the name of a program, and runs in `source` if it has one.
    `stop_signal` asks it to end, None for the image's own; `stop_grace` is the time in seconds from there to the kill.
    `init`: a process of the engine's own passes signals on in its container, and reaps what ends there.
    `entrypoint` replaces that of the image. `build` says how the image is made of `source`; `image_of` names another
    component that makes it of the same source, and is built in its place.
    `secrets`: those that it reads from files. `settings` follow the command, each as `-c NAME=VALUE`; a plan shows each
    under its name, and of the command only what stands before them.
    `prepare`: a Python file and its arguments; it makes the data of a process if there is none, and becomes the
    command, which follows it. The first of `ports` is the one that `Reference(…, "port")` stands for. `labels`: of a
    container, for programs that look for them. `hostname`: what a container calls itself, and another name for it.
    `working_dir`: in which its command runs, None for the image's own. `terminal`: its program has a terminal.
    `copy_of`: the component of whose data it keeps a copy, which has to be on another machine.
    `replicas`: how many of it run at once. `singleton`: never two of them, also while one replaces another: an engine
    that replaces step by step stops the old one first. `once`: it ends by itself; None for what runs on. `watch`: the
    files and folders whose changes concern it, relative to the stack file; None: those of its source and its mounts.
    """

    limits: Limits
    hardening: Hardening
    stop_grace: int
    stop_signal: StopSignal | None = None
    init: bool = False
    image: str | None = None
    source: str | None = None
    build: Build = Build()
    image_of: str | None = None
    entrypoint: tuple[Value, ...] | None = None
    command: tuple[Value, ...] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[Value, ...] = ()
    environment: Mapping[str, Value] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    files: tuple[File, ...] = ()
    secrets: tuple[SecretReference, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = "always"
    hostname: str | None = None
    working_dir: str | None = None
    terminal: bool = False
    healthcheck: Healthcheck | None = None
    probe: HttpCheck | TcpCheck | None = None
    replicas: int = 1
    singleton: bool = False
    once: Once | None = None
    watch: tuple[str, ...] | None = None
    copy_of: str | None = None

    @property
    def plain_environment(self) -> Mapping[str, Value]:
        """The variables that an engine writes into its configuration."""
        given = self.given_environment
        return {name: value for name, value in self.environment.items() if name not in given}

    @property
    def given_environment(self) -> Mapping[str, Value]:
        """The variables with a secret or a parameter, which an engine writes into a file of their own."""
        values = self.environment.items()
        return {name: value for name, value in values if secrets_in(value) or _has_parameter(value)}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that it needs a value of."""
        values = (*self.environment.values(), *(self.entrypoint or ()), *(self.command or ()))
        return tuple(dict.fromkeys(each for value in values for each in parameters_in(value)))

    @property
    def secret_environment(self) -> Mapping[str, Value]:
        """The variables that hold the value of a secret."""
        return {name: value for name, value in self.environment.items() if secrets_in(value)}

    @property
    def revealed(self) -> tuple[SecretReference, ...]:
        """The secrets whose values are in its environment. What runs can't read a new value of one by itself."""
        values = self.environment.values()
        return tuple(dict.fromkeys(secret for value in values for secret in secrets_in(value)))

    @property
    def words(self) -> tuple[Value, ...] | None:
        """The command with its settings; None for that of the image."""
        return None if self.command is None else (*self.command, *setting_words(self.settings))

    @property
    def asked(self) -> str:
        """The name of the port that is asked from outside; empty for the first one."""
        return "" if self.probe is None else self.probe.port.name

    @property
    def published(self) -> tuple[Port, ...]:
        return tuple(port for port in self.ports if port.publish is not None)

    def publishing(self) -> Workload:
        """Return it with each port published on this machine, by the number that it has in the container."""
        ports = (port if port.publish is not None else replace(port, publish=port.number) for port in self.ports)
        return replace(self, ports=tuple(ports))

    @property
    def public(self) -> bool:
        """Whether other machines reach it."""
        return any(port.public for port in self.published)

    @property
    def exposed(self) -> tuple[str, ...]:
        """What it opens to other machines, for people."""
        return ("listens on every address of this machine",) if self.public else ()

    @property
    def relaxed(self) -> tuple[str, ...]:
        """What a container may do beyond the safe defaults, for people."""
        return (*self.exposed, *self.hardening.relaxed)


def setting_words(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return settings as words of a command: `-c NAME=VALUE`."""
    return tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def _has_parameter(value: Value) -> bool:
    """Say whether a variable changes with a parameter. The path of a secret's file does not."""
    return not isinstance(value, SecretReference) and bool(parameters_in(value))


def complete(workload: Workload, meaning: Callable[[Reference], Value | None]) -> Workload:
    """Put what `meaning` knows in the place of references that stand for others, and name the secrets in files."""

    def of(value: Value) -> Value:
        return value if isinstance(value, SecretReference) else expanded(value, meaning)

    def words(declared: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
        return None if declared is None else tuple(map(of, declared))

    environment = {name: of(value) for name, value in workload.environment.items()}
    files = [value for value in environment.values() if isinstance(value, SecretReference)]
    return replace(
        workload,
        environment=environment,
        entrypoint=words(workload.entrypoint),
        command=words(workload.command),
        secrets=tuple(dict.fromkeys([*workload.secrets, *files])),
    )
