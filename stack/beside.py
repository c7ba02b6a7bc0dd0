"""What runs beside an app, with what the app has: its image or source, its environment, its volumes, what it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from stack.checking import (
    checked_command,
    checked_cpus,
    checked_environment,
    checked_labels,
    checked_memory,
    checked_seconds,
    checked_ulimits,
    checked_user,
    used_names,
)
from stack.model import Component
from stack.parts import TMP, USER, check_origin, checked_volumes, located, volumes_of, without_secrets
from stack.references import Value
from stack.workload import Hardening, Healthcheck, Limits, Target, Workload


class App(Protocol):
    """What another component can run beside."""

    @property
    def name(self) -> str: ...

    @property
    def environment(self) -> Mapping[str, Value | int | float]: ...

    @property
    def volumes(self) -> Mapping[str, str]: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    def workload(self, target: Target) -> Workload: ...

    def without_secrets(self, hidden: str) -> Self: ...


@dataclass(frozen=True)
class Beside(Component):
    """A process without a port that has what an app has, or an image or a source of its own."""

    command: Sequence[Value] = ()
    of: App | None = None
    image: str | None = None
    source: str | None = None
    environment: Mapping[str, Value | int | float] = field(default_factory=dict)
    uses: Sequence[Component | str] | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    memory: int = 512
    cpus: float = 2.0
    stop_grace: int = 20
    ulimits: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("command", checked_command(self, self.command))
        self._check_app()
        self._freeze("environment", checked_environment(self, self.environment))
        if self.uses is not None:
            self._freeze("uses", used_names(self, self.uses))
        self._freeze("volumes", checked_volumes(self, self.volumes))
        if self.user is not None:
            checked_user(self, self.user)
        checked_memory(self, self.memory, least=16)
        checked_cpus(self, self.cpus)
        checked_seconds(self, "stop_grace", self.stop_grace)
        self._freeze("ulimits", checked_ulimits(self, self.ulimits))
        self._freeze("labels", checked_labels(self, self.labels))

    def _check_app(self) -> None:
        if self.of is None:
            check_origin(self, self.image, self.source)
            return
        self._check_kind(self.of)
        for name in ("image", "source"):
            if getattr(self, name) is not None:
                raise self.wrong(name, f"is that of {self.of.name!r} already; leave it out, or `of`")
        for name in self.volumes:
            if name in self.of.volumes:
                raise self.wrong(f"volumes/{name}", f"is a volume of {self.of.name!r} already; choose another name")

    def _check_kind(self, app: object) -> None:
        """Raise `DeclarationError` if `app` is of a kind that this one can't run beside."""
        raise NotImplementedError

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
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=256, ulimits=self.ulimits),
            hardening=Hardening(user=USER, tmpfs=(TMP,), egress=True),
            init=True,
            volumes=volumes_of(self, self.volumes),
            healthcheck=Healthcheck(test=()),
            labels=self.labels,
            stop_grace=self.stop_grace,
            stop_signal="TERM" if target == "process" else None,
        )
        if self.of is not None:
            own = self._with_app(self.of, own, target)
        if self.user is None:
            return own
        return replace(own, hardening=replace(own.hardening, user=checked_user(self, self.user)))

    def _with_app(self, app: App, own: Workload, target: Target) -> Workload:
        """Return a workload with what the app has too, its hardening included."""
        theirs = app.workload(target)
        declared = checked_environment(self, app.environment)
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

    def without_secrets(self, hidden: str) -> Self:
        app = self.of.without_secrets(hidden) if self.of is not None else None
        return replace(self, of=app, environment=without_secrets(self.environment, hidden))
