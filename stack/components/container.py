"""A container: any image, or a folder with a Dockerfile, with what it listens on, keeps and may do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from types import MappingProxyType
from typing import ClassVar, get_args

from stack import health as ways
from stack.calls import sequence
from stack.capabilities import Check
from stack.checking import (
    checked_command,
    checked_endpoint,
    checked_entrypoint,
    checked_environment,
    checked_extra_hosts,
    checked_hostname,
    checked_mapping,
    checked_memory,
    checked_name,
    checked_port,
    checked_public,
    checked_switch,
    checked_target,
    checked_user,
)
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parts import (
    TMP,
    CommandCheck,
    bind_address,
    checked_health,
    folders,
    healthcheck_of,
    located,
    probe_of,
    volumes_of,
)
from stack.placed import files_of, mounts_of, watch_of
from stack.program import Program
from stack.references import Reference, Value, deferred, variable_prefix
from stack.workload import UDP, WEB, Hardening, Port, PortId, Restart, StopSignal, Target, Workload

_SIGNALS = get_args(StopSignal)
_RESTARTS = get_args(Restart)


@dataclass(frozen=True)
class Container(Program):
    """A container of an `image`, or of one that is built from the folder `source`.

    - `command`, `entrypoint`: replace those of the image; lists of words, or a text that is split into words. With
      `entrypoint=[]` the command runs alone.
    - `ports`: what it listens on, by a name, `{"http": 9000, "dns": "53/udp"}`; `publish`: the ports of this machine
      for those that are reached from outside, on 127.0.0.1, `{"http": 9000}`.
      `public`: True, or the names of those of these that are on every address of this machine, for other machines.
    - `health`: `health.http("/ready")`, `health.tcp()`, `health.command([…])`; None asks as the image says, and its
      first published port for a connection.
    - `process`: the words that run it without Docker. The process finds what it has to listen on in `BIND`, `PORT` (the
      first port) and `PORT_CONSOLE`, the folder of a volume in `VOLUME_DATA`, and a file in `FILE_NGINX_CONF`. `BIND`
      and `PORT` of `stack` are the same for its words. A container built from `source` has the same variables.
    - `tmpfs`: folders in memory that it may write to. `egress=False`: it reaches nothing outside the stack, unless it
      is published: Docker publishes no port of a network without a way out.
      `extra_hosts`: addresses of hosts outside the stack, `{"host.docker.internal": "host-gateway"}` for this machine.
    - `shm` in MiB; `init`: an init process of the engine's reaps its children.
    - `working_dir`: the folder in which its command runs. `hostname`: what it calls itself, and another name by which
      those that use it reach it. `terminal`: it has one, for a program that ends without, like a shell.
    - `restart`: whether it is started again when it ends by itself, `always`, `on-failure` (unless it ended with 0) or
      `no`. It is expected to run in any case: `up` fails for one that ended, whatever its exit code.

    What else it has, each `Program` has. Raises `DeclarationError` for a wrong value.
    """

    image: str | None = None
    source: str | None = None
    command: Sequence[Value] | str | None = None
    entrypoint: Sequence[Value] | str | None = None
    process: Sequence[Value] | str | None = None
    ports: Mapping[str, int | str] = field(default_factory=dict)
    publish: Mapping[str, int] = field(default_factory=dict)
    health: ways.Health | None = None
    tmpfs: Sequence[str] = (TMP,)
    egress: bool = True
    init: bool = True
    shm: int | None = None
    stop_signal: StopSignal | None = None
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = "always"
    hostname: str | None = None
    working_dir: str | None = None
    terminal: bool = False
    public: bool | Sequence[str] = False

    _LEAST_MEMORY: ClassVar[int] = 6
    _PROCESSES: ClassVar[int] = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("command", "process"):
            if getattr(self, name) is not None:
                self._freeze(name, checked_command(self, getattr(self, name), name))
        if self.entrypoint is not None:
            self._freeze("entrypoint", checked_entrypoint(self, self.entrypoint, self.command))
        self._check_ports()
        self._check_tmpfs()
        self._check_health()
        for name in ("egress", "init", "terminal"):
            checked_switch(self, name, getattr(self, name))
        if self.shm is not None:
            checked_memory(self, self.shm, least=1, field="shm")
        if self.stop_signal is not None and self.stop_signal not in _SIGNALS:
            raise self.wrong("stop_signal", f"{self.stop_signal!r} is none of {', '.join(_SIGNALS)}")
        self._freeze("extra_hosts", checked_extra_hosts(self, self.extra_hosts))
        if self.hostname is not None:
            checked_hostname(self, self.hostname)
        if self.working_dir is not None:
            checked_target(self, "working_dir", self.working_dir)
        if self.restart not in _RESTARTS:
            raise self.wrong("restart", f"{self.restart!r} is none of {', '.join(_RESTARTS)}")

    def _check_health(self) -> None:
        named = self.health.port if isinstance(self.health, (ways.Http, ways.Tcp)) else ""
        if named in self.ports and named not in self._connected:
            raise self.wrong("health", f"{named!r} takes datagrams, so it can't be asked; use health.command([…])")
        checked_health(self, self.health, tuple(self.ports), self._asked)

    @property
    def _connected(self) -> tuple[str, ...]:
        """The ports that take connections."""
        return tuple(name for name, port in self.ports.items() if isinstance(port, int))

    @property
    def _asked(self) -> tuple[str, ...]:
        """Those that can be asked from outside."""
        return tuple(name for name in self.publish if name in self._connected)

    def _check_ports(self) -> None:
        ports = checked_mapping(self, "ports", self.ports)
        numbers = {
            checked_name(self, "ports", name): checked_endpoint(self, f"ports/{name}", port)
            for name, port in ports.items()
        }
        for name, port in numbers.items():
            if list(numbers.values()).count(port) > 1:
                raise self.wrong(f"ports/{name}", f"{port} is there twice")
        published: dict[str, int] = {}
        for key, value in checked_mapping(self, "publish", self.publish).items():
            if key not in numbers:
                listed = ", ".join(map(repr, numbers)) or "none"
                raise self.wrong("publish", f"{key!r} is none of its ports; `ports` has {listed}")
            published[str(key)] = checked_port(self, f"publish/{key}", value)
        self._check_public(published)
        self._freeze("ports", MappingProxyType(numbers))
        self._freeze("publish", MappingProxyType(published))

    def _check_public(self, published: Mapping[str, int]) -> None:
        if isinstance(self.public, bool):
            checked_public(self, self.public, bool(published))
            return
        names = sequence(f"{self.name}/public", self.public)
        for name in names:
            if name not in published:
                listed = ", ".join(map(repr, published)) or "none"
                raise self.wrong("public", f"{name!r} is none of its published ports; `publish` has {listed}")
        self._freeze("public", names)

    def _is_public(self, name: str) -> bool:
        return self.public if isinstance(self.public, bool) else name in self.public

    def _places(self) -> Collection[str]:
        return (*self._in_memory(), *folders(self.volumes).values())

    def _in_memory(self) -> tuple[str, ...]:
        in_memory = sequence(f"{self.name}/tmpfs", self.tmpfs)  # noqa: S108 - the path of a field
        return tuple(checked_target(self, "tmpfs", folder) for folder in in_memory)

    def _check_tmpfs(self) -> None:
        self._freeze("tmpfs", self._in_memory())
        for folder in folders(self.volumes).values():
            if folder in self.tmpfs:
                raise self.wrong("tmpfs", f"{folder!r} is a volume too; it is kept in memory or on disk")

    @property
    def role(self) -> str:
        return "container"

    @property
    def listens_on(self) -> Reference | None:
        return bind_address(self.name, bool(self.public)) if self.ports else None

    @property
    def host(self) -> Reference:
        return Reference(self.name, "host")

    def port(self, name: str = "") -> Reference:
        """Refer to one of its ports by its name; without it to the first."""
        if name not in ("", *self.ports) or not self.ports:
            raise self.wrong("ports", f"{name!r} is none of its ports; it has {', '.join(self.ports) or 'none'}")
        return Reference(self.name, "port", name)

    def url(self, name: str = "") -> Reference:
        """Refer to the HTTP URL of one of its ports, `http://HOST:PORT`; without a name of the first."""
        return replace(self.port(name), field="url")

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        if reference.field != "url":
            return None
        return deferred(f"http://{self.host}:{self.port(reference.name)}")

    def exports(self, target: Target) -> Mapping[str, Value]:
        if not self.ports:
            return {}
        others = {f"{variable_prefix(name)}_PORT": self.port(name) for name in self.ports}
        return {"HOST": self.host, "PORT": self.port(), **others}

    def workload(self, target: Target) -> Workload:
        ports = tuple(map(self._port, self.ports))
        own = Workload(
            limits=self.limits,
            hardening=Hardening(
                user=checked_user(self, self.user),
                read_only=not self.writable,
                tmpfs=tuple(map(_for_all, self.tmpfs)),
                capabilities=tuple(self.capabilities),
                egress=self.egress,
                shm=self.shm,
                extra_hosts=self.extra_hosts,
                mounts=mounts_of(self.mounts, self.writable_mounts),
            ),
            labels=self.labels,
            restart=self.restart,
            stop_grace=self.stop_grace,
            stop_signal=self.stop_signal,
            ports=ports,
            volumes=volumes_of(self, self.volumes),
            files=files_of(self, self.files),
            watch=watch_of(self.watch),
            probe=probe_of(self.name, self.health, self._asked),
            source=self.source,
            environment=checked_environment(self, self.environment),
        )
        return self._in_container(own) if target == "container" else self._as_process(own)

    def _port(self, name: str) -> Port:
        number, udp, publish = self.ports[name], name not in self._connected, self.publish.get(name)
        return Port(
            id=PortId.of(self.name, name),
            number=int(str(number).removesuffix("/udp")),
            publish=publish,
            url=UDP if udp else WEB,
            udp=udp,
            public=publish is not None and self._is_public(name),
        )

    def _in_container(self, own: Workload) -> Workload:
        return replace(
            own,
            image=self.image,
            build=self.build,
            entrypoint=_words(self.entrypoint),
            command=_words(self.command),
            environment=own.environment if self.source is None else self._located | dict(own.environment),
            healthcheck=healthcheck_of(self.health),
            init=self.init,
            hostname=self.hostname,
            working_dir=self.working_dir,
            terminal=self.terminal,
        )

    def _as_process(self, own: Workload) -> Workload:
        if self.process is None:
            raise DeclarationError(
                f"{self.name}/process",
                "is missing; the embedded engine runs no image",
                f"say how it starts without one, Container({self.name!r}, …, process=[…]), or use Docker",
            )
        return replace(
            own,
            command=_words(self.process),
            environment=self._located | dict(own.environment),
            stop_signal=self.stop_signal or "TERM",
        )

    @property
    def _located(self) -> dict[str, Value]:
        return located(self.name, tuple(self.ports), self.volumes, self.files, bool(self.public))

    @property
    def check(self) -> Check | None:
        return CommandCheck(self.name, self.health) if isinstance(self.health, ways.Command) else None


def _for_all(folder: str) -> str:
    """Let every user write to a folder in memory: Docker gives it the mode that the image's folder has. /tmp has it."""
    return folder if folder == TMP else f"{folder}:mode=1777"


def _words(words: Sequence[Value] | None) -> tuple[Value, ...] | None:
    return None if words is None else tuple(words)
