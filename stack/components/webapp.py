"""A web app: a folder with a Dockerfile that answers HTTP. It is what people reach from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from stack.checking import (
    checked_command,
    checked_environment,
    checked_port,
    checked_public,
    checked_replicas,
    checked_user,
)
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parts import TMP, bind_address, located, volumes_of
from stack.placed import files_of, mounts_of, watch_of
from stack.program import Program
from stack.references import Reference, Value, deferred
from stack.workload import Hardening, Healthcheck, HttpCheck, Port, PortId, Target, Workload

_PATH = re.compile(r"/[!-~]*")


@dataclass(frozen=True)
class WebApp(Program):
    """A web app that is built from `source`, or runs an `image`, and is published on 127.0.0.1.

    - `port`: where it listens in its container; `publish`: the port on this machine (default: the same), None for an
      app that only other components reach. The app gets in `BIND` and `PORT` where it has to listen: in a container
      0.0.0.0 and `port`, without one 127.0.0.1 and `publish`. `from stack import BIND, PORT` gives
      the same for its command and environment: `command=["gunicorn", f"--bind={BIND}:{PORT}", "shop.wsgi"]`.
      `public`: it is published on every address of this machine, for other machines, and `BIND` is 0.0.0.0 anyway.
    - `health`: the path that answers 200 once the app and what it uses work. The Dockerfile's HEALTHCHECK, if it
      has one, is what the engine asks; `up`, `status` and `wait` ask this path from outside, of an app that is
      published or runs without a container.
    - `command`: replaces the CMD of its Dockerfile, and runs in `source` where no container is made of it.
    - `replicas`: how many of it run at once on an engine with many machines. On one machine one runs, because all would
      want its port.
    - `volumes`: the app gets the path of each, which is another without a container: `VOLUME_MEDIA`.

    What else it has, each `Program` has. Raises `DeclarationError` for a wrong value.
    """

    source: str | None = None
    port: int = 8000
    publish: int | Literal["same"] | None = "same"
    health: str = "/health"
    command: Sequence[Value] | str | None = None
    public: bool = False
    replicas: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_port(self, "port", self.port)
        if self.publish not in (None, "same"):
            checked_port(self, "publish", self.publish)
        checked_public(self, self.public, self.publish is not None)
        checked_replicas(self, self.replicas, singleton=False)
        if not isinstance(self.health, str) or not _PATH.fullmatch(self.health):
            raise self.wrong("health", f"{self.health!r} is not a path of a URL (it starts with /)")
        if self.command is not None:
            self._freeze("command", checked_command(self, self.command))

    @property
    def role(self) -> str:
        return "web app"

    @property
    def listens_on(self) -> Reference:
        return bind_address(self.name, self.public)

    @property
    def host(self) -> Reference:
        return Reference(self.name, "host")

    @property
    def url(self) -> Reference:
        """Refer to the URL at which other components reach it: `http://HOST:PORT`."""
        return Reference(self.name, "url")

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        if reference.field != "url":
            return None
        return deferred(f"http://{self.host}:{Reference(self.name, 'port')}")

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {"HOST": self.host, "PORT": Reference(self.name, "port")}

    def workload(self, target: Target) -> Workload:
        port = PortId.of(self.name)
        publish = self.port if self.publish == "same" else self.publish
        own = Workload(
            image=self.image if target == "container" else None,
            source=self.source,
            build=self.build,
            command=None if self.command is None else checked_command(self, self.command),
            environment=self._environment(),
            limits=self.limits,
            hardening=Hardening(
                user=checked_user(self, self.user),
                read_only=not self.writable,
                tmpfs=(TMP,),
                capabilities=tuple(self.capabilities),
                egress=True,
                mounts=mounts_of(self.mounts, self.writable_mounts),
            ),
            init=True,
            ports=(Port(port, self.port, publish, public=self.public),),
            volumes=volumes_of(self, self.volumes),
            files=files_of(self, self.files),
            watch=watch_of(self.watch),
            labels=self.labels,
            healthcheck=Healthcheck(test=None),
            probe=HttpCheck(port, self.health),
            stop_grace=self.stop_grace,
            replicas=self.replicas,
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

    def _environment(self) -> Mapping[str, Value]:
        return located(self.name, ("",), self.volumes, self.files, self.public) | dict(
            checked_environment(self, self.environment)
        )
