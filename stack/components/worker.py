"""A worker: a process beside an app that nothing connects to, like one that takes jobs from a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from stack.capabilities import Check
from stack.checking import (
    checked_command,
    checked_cpus,
    checked_environment,
    checked_memory,
    checked_seconds,
    checked_switch,
    checked_user,
    used_names,
)
from stack.components.container import Container
from stack.components.webapp import WebApp
from stack.health import Command
from stack.model import Component
from stack.parts import (
    TMP,
    USER,
    CommandCheck,
    check_origin,
    checked_health,
    checked_volumes,
    healthcheck_of,
    located,
    volumes_of,
    without_secrets,
)
from stack.references import Value
from stack.workload import Hardening, Healthcheck, Limits, Target, Workload


@dataclass(frozen=True)
class Worker(Component):
    """A process that runs beside an app and has no port.

    - `of`: the app whose image, source, environment, volumes and `uses` it has; or give it its own `image` or `source`.
    - `command`: what it runs; a list of words.
    - `environment`: beside that of the app, and before it. `volumes`: beside those of the app. `uses`: in the place of
      those of the app.
    - `health`: `health.command([…])`, or None: it is well while it runs. The check of the app's image is not asked.
    - `user`, `memory` in MiB, `cpus`, `stop_grace` in seconds, `rereads_secrets`: as those of an app.

    It reaches the internet. Raises `DeclarationError` for a wrong value.
    """

    command: Sequence[Value] = ()
    of: WebApp | Container | None = None
    image: str | None = None
    source: str | None = None
    environment: Mapping[str, Value | int | float] = field(default_factory=dict)
    uses: Sequence[Component | str] | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    health: Command | None = None
    user: str | None = None
    memory: int = 512
    cpus: float = 2.0
    stop_grace: int = 20
    rereads_secrets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("command", checked_command(self, self.command))
        self._check_app()
        self._freeze("environment", checked_environment(self, self.environment))
        if self.uses is not None:
            self._freeze("uses", used_names(self, self.uses))
        self._freeze("volumes", checked_volumes(self, self.volumes))
        if self.health is not None:
            self._check_health(self.health)
        if self.user is not None:
            checked_user(self, self.user)
        checked_memory(self, self.memory, least=16)
        checked_cpus(self, self.cpus)
        checked_seconds(self, "stop_grace", self.stop_grace)
        checked_switch(self, "rereads_secrets", self.rereads_secrets)

    def _check_app(self) -> None:
        if self.of is None:
            check_origin(self, self.image, self.source)
            return
        if not isinstance(self.of, (WebApp, Container)):
            raise self.wrong("of", f"{self.of!r} is neither a WebApp nor a Container")
        for name in ("image", "source"):
            if getattr(self, name) is not None:
                raise self.wrong(name, f"is that of {self.of.name!r} already; leave it out, or `of`")
        for name in self.volumes:
            if name in self.of.volumes:
                raise self.wrong(f"volumes/{name}", f"is a volume of {self.of.name!r} already; choose another name")

    def _check_health(self, asked: object) -> None:
        if not isinstance(asked, Command):
            raise self.wrong("health", f"{asked!r} is not health.command([…]): a worker has no port to ask")
        checked_health(self, asked, (), ())

    @property
    def role(self) -> str:
        return "worker"

    @property
    def needs(self) -> tuple[str, ...]:
        if self.uses is not None:
            return used_names(self, self.uses)
        return self.of.needs if self.of is not None else ()

    @property
    def shares(self) -> tuple[str, ...]:
        return (self.of.name,) if self.of is not None else ()

    def workload(self, target: Target) -> Workload:
        own = Workload(
            image=self.image if target == "container" else None,
            source=self.source,
            command=checked_command(self, self.command),
            environment=located(self.name, (), tuple(self.volumes)) | dict(checked_environment(self, self.environment)),
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=256),
            hardening=Hardening(user=USER, tmpfs=(TMP,), egress=True),
            init=True,
            volumes=volumes_of(self, self.volumes),
            healthcheck=Healthcheck(test=()) if self.health is None else healthcheck_of(self.health),
            stop_grace=self.stop_grace,
            stop_signal="TERM" if target == "process" else None,
        )
        if self.of is not None:
            own = _beside(self.of, own, target)
        if self.user is None:
            return own
        return replace(own, hardening=replace(own.hardening, user=checked_user(self, self.user)))

    @property
    def check(self) -> Check | None:
        return CommandCheck(self.name, self.health) if self.health is not None else None

    def without_secrets(self, hidden: str) -> Self:
        app = self.of.without_secrets(hidden) if self.of is not None else None
        return replace(self, of=app, environment=without_secrets(self.environment, hidden))


def _beside(app: WebApp | Container, own: Workload, target: Target) -> Workload:
    """Return a workload with what the app has too: its image or source, its environment, its volumes, its hardening."""
    theirs = app.workload(target)
    declared = checked_environment(app, app.environment)
    return replace(
        own,
        image=theirs.image,
        source=theirs.source,
        build=theirs.build,
        image_of=app.name if theirs.image is None else None,
        environment=located(app.name, (), tuple(app.volumes)) | dict(declared) | dict(own.environment),
        volumes=(*theirs.volumes, *own.volumes),
        hardening=replace(theirs.hardening, egress=True),
    )
