"""A web app: a folder with a Dockerfile that answers HTTP. It is what people reach from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from stack.checking import (
    checked_command,
    checked_cpus,
    checked_environment,
    checked_memory,
    checked_path,
    checked_port,
    checked_seconds,
    used_names,
)
from stack.errors import DeclarationError
from stack.fields import is_secret_name
from stack.model import Component
from stack.references import Reference, Value
from stack.workload import Hardening, Healthcheck, HttpCheck, Limits, Port, PortId, Target, Workload

# A user of no image: whatever the Dockerfile says, the app never runs as root.
USER = "10001:10001"

_PATH = re.compile(r"/[!-~]*")
_USER = re.compile(r"[1-9][0-9]{0,9}:[1-9][0-9]{0,9}")


@dataclass(frozen=True)
class WebApp(Component):
    """A web app that is built from `source` and published on 127.0.0.1.

    - `source`: the folder with its Dockerfile, relative to the stack file.
    - `port`: where it listens in its container; `publish`: the port on this machine (default: the same). The app
      gets in `BIND` and `PORT` where it has to listen: in a container 0.0.0.0 and `port`, without one 127.0.0.1 and
      `publish`.
    - `health`: the path that answers 200 once the app and what it uses work. The Dockerfile's HEALTHCHECK, if it
      has one, is what the engine asks; `up`, `status` and `wait` ask this path from outside.
    - `command`: replaces the CMD of its Dockerfile, and runs in `source` where no container is made of it.
    - `environment`: plain values and references (`db.host`); a secret goes to a variable that ends in `_FILE`.
    - `uses`: the components it needs, or their names. Each gives its variables: `db` gives `DB_HOST`, `DB_PORT`, …
    - `rereads_secrets`: it reads the file of a secret again when what it read is refused, and so outlives a `rotate`
      without being started again.
    - `user`: the numeric user and group that it runs as; `memory` in MiB; `stop_grace`: the seconds that it gets to
      finish what is in flight.

    Raises `DeclarationError` for a wrong value.
    """

    source: str
    port: int = 8000
    publish: int | None = None
    health: str = "/health"
    command: Sequence[Value] | None = None
    environment: Mapping[str, Value | int | float] = field(default_factory=dict)
    uses: Sequence[Component | str] = ()
    user: str = USER
    memory: int = 512
    cpus: float = 2.0
    stop_grace: int = 20
    rereads_secrets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_path(self, "source", self.source)
        checked_port(self, "port", self.port)
        if self.publish is not None:
            checked_port(self, "publish", self.publish)
        if not isinstance(self.health, str) or not _PATH.fullmatch(self.health):
            raise self.wrong("health", f"{self.health!r} is not a path of a URL (it starts with /)")
        if not isinstance(self.user, str) or not _USER.fullmatch(self.user):
            raise self.wrong("user", f"{self.user!r} is not a user and group in numbers, or is root (like 10001:10001)")
        checked_memory(self, self.memory, least=16)
        checked_cpus(self, self.cpus)
        checked_seconds(self, "stop_grace", self.stop_grace)
        if not isinstance(self.rereads_secrets, bool):
            raise self.wrong("rereads_secrets", f"{self.rereads_secrets!r} is neither True nor False")
        self._freeze("environment", checked_environment(self, self.environment))
        self._freeze("uses", used_names(self, self.uses))
        if self.command is not None:
            self._freeze("command", checked_command(self, self.command))

    def _freeze(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    @property
    def role(self) -> str:
        return "web app"

    @property
    def needs(self) -> tuple[str, ...]:
        return used_names(self, self.uses)

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {"HOST": Reference(self.name, "host"), "PORT": Reference(self.name, "port")}

    def workload(self, target: Target) -> Workload:
        port = PortId.of(self.name)
        own = Workload(
            source=self.source,
            command=None if self.command is None else checked_command(self, self.command),
            environment=self._environment(),
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=256),
            hardening=Hardening(user=self.user, tmpfs=("/tmp",), egress=True),  # noqa: S108 - in the container
            init=True,
            ports=(Port(port, self.port, self.publish or self.port),),
            healthcheck=Healthcheck(test=None),
            http=HttpCheck(port, self.health),
            stop_grace=self.stop_grace,
        )
        if target == "container":
            return own
        if self.command is None:
            raise DeclarationError(
                f"{self.name}/command",
                "is missing; the embedded engine runs no image, whose Dockerfile would name one",
                "say how the app starts in its source folder: WebApp(command=[…])",
            )
        return replace(own, stop_signal="TERM")

    def without_secrets(self, hidden: str) -> Self:
        values = self.environment.items()
        return replace(self, environment={name: hidden if is_secret_name(name) else value for name, value in values})

    def _environment(self) -> Mapping[str, Value]:
        where = {"BIND": Reference(self.name, "bind"), "PORT": Reference(self.name, "port")}
        return where | dict(checked_environment(self, self.environment))
