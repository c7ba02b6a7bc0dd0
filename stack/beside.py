"""What runs beside an app, with what the app has: its image or source, its environment, its volumes, what it uses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, replace
from typing import ClassVar, Protocol, Self

from stack.checking import (
    checked_command,
    checked_entrypoint,
    checked_environment,
    checked_user,
    related_names,
    used_names,
)
from stack.component import Component
from stack.errors import DeclarationError
from stack.external import External, externals_in
from stack.frozen import dataclass
from stack.parts import TMP, USER, Volumes, check_volumes_beside, folders, located, volumes_of
from stack.placed import files_of, mounts_of, watch_of
from stack.program import Program
from stack.references import Value, Variable
from stack.workload import Hardening, Healthcheck, Target, Workload


class App(Protocol):
    """What another component can run beside."""

    @property
    def name(self) -> str: ...

    @property
    def environment(self) -> Mapping[str, Variable]: ...

    @property
    def volumes(self) -> Volumes: ...

    @property
    def files(self) -> Mapping[str, str]: ...

    @property
    def variable_files(self) -> tuple[str, ...]: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def informs(self) -> tuple[str, ...]: ...

    @property
    def externals(self) -> tuple[External, ...]: ...

    @property
    def reached(self) -> tuple[str, ...]: ...

    def workload(self, target: Target) -> Workload: ...

    def without_secrets(self, hidden: str) -> Self: ...


@dataclass(frozen=True)
class Beside(Program):
    """A process without a port that has what an app has, or an image or a source of its own.

    - `command`, `entrypoint`: replace those of the image; lists of words, or a text that is split into words. Beside an
      app one of them is needed.
    """

    command: Sequence[Value] | str | None = None
    of: App | None = None
    _: KW_ONLY
    entrypoint: Sequence[Value] | str | None = None
    uses: Sequence[Component | External | str] | None = None
    user: str | None = None

    # The kinds that it can run beside.
    _KINDS: ClassVar[tuple[type, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.command is not None:
            self._freeze("command", checked_command(self, self.command))
        if self.entrypoint is not None:
            self._freeze("entrypoint", checked_entrypoint(self, self.entrypoint, self.command))
        if self.of is not None:
            check_volumes_beside(self, self.volumes, self.of.name, self.of.volumes)

    def _check_relations(self) -> None:
        given = {} if self.uses is None else {"uses": self.uses}
        for relation, names in related_names(self, **given, after=self.after, reaches=self.reaches).items():
            self._freeze(relation, (*names, *externals_in(self.uses)) if relation == "uses" else names)

    def _places(self) -> Collection[str]:
        theirs = () if self.of is None else (*folders(self.of.volumes).values(), *self.of.files.values())
        return (*super()._places(), *theirs)

    def _check_user(self) -> None:
        if self.user is not None:
            super()._check_user()

    def _check_origin(self) -> None:
        if self.of is None:
            super()._check_origin()
            return
        if not isinstance(self.of, self._KINDS):
            raise self.wrong("of", f"{self.of!r} is neither a WebApp nor a Container")
        if self.command is None and self.entrypoint is None:
            raise self.wrong("command", f"is missing, and {self.of.name!r} runs the image's own already")
        for name in ("image", "source", "dockerfile", "target", "args"):
            if getattr(self, name):
                raise self.wrong(name, f"is that of {self.of.name!r} already; leave it out, or `of`")

    @property
    def needs(self) -> tuple[str, ...]:
        theirs = self.of.needs if self.of is not None and self.uses is None else ()
        return tuple(dict.fromkeys([*self.informs, *theirs, *used_names(self, self.after)]))

    @property
    def informs(self) -> tuple[str, ...]:
        if self.uses is not None:
            return used_names(self, self.uses)
        return self.of.informs if self.of is not None else ()

    @property
    def externals(self) -> tuple[External, ...]:
        return self.of.externals if self.of is not None and self.uses is None else super().externals

    @property
    def reached(self) -> tuple[str, ...]:
        theirs = self.of.reached if self.of is not None else ()
        own = used_names(self, self.reaches)
        return tuple(name for name in dict.fromkeys([*theirs, *own]) if name != self.name and name not in self.needs)

    @property
    def declared(self) -> Mapping[str, str]:
        theirs = dict.fromkeys(self.of.environment, self.of.name) if self.of is not None else {}
        return {**theirs, **super().declared}

    @property
    def variable_files(self) -> tuple[str, ...]:
        theirs = self.of.variable_files if self.of is not None else ()
        return tuple(dict.fromkeys([*theirs, *super().variable_files]))

    @property
    def shares(self) -> tuple[str, ...]:
        return (self.of.name,) if self.of is not None else ()

    def workload(self, target: Target) -> Workload:
        own = Workload(
            image=self.image if target == "container" else None,
            source=self.source,
            build=self.build,
            command=None if self.command is None else checked_command(self, self.command),
            environment=located(self.name, (), self.volumes, self.files)
            | dict(checked_environment(self, self.environment)),
            limits=self.limits,
            hardening=Hardening(
                user=USER,
                read_only=not self.writable,
                tmpfs=(TMP,),
                capabilities=tuple(self.capabilities),
                egress=True,
                mounts=mounts_of(self.mounts, self.writable_mounts),
            ),
            init=True,
            volumes=volumes_of(self, self.volumes),
            files=files_of(self, self.files),
            watch=watch_of(self.watch),
            healthcheck=Healthcheck(test=()),
            labels=self.labels,
            stop_grace=self.stop_grace,
            stop_signal="TERM" if target == "process" else None,
        )
        if target == "container":
            words = None if self.entrypoint is None else checked_entrypoint(self, self.entrypoint, self.command)
            own = replace(own, entrypoint=words)
        elif own.command is None:
            raise DeclarationError(
                f"{self.name}/command",
                "is missing; the embedded engine runs no image, whose Dockerfile would name one",
                f"say how it starts in its source folder: {type(self).__name__}({self.name!r}, command=[…])",
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
            working_dir=theirs.working_dir,
            image_of=app.name if theirs.image is None else None,
            environment=located(app.name, (), app.volumes, app.files) | dict(declared) | dict(own.environment),
            volumes=(*theirs.volumes, *own.volumes),
            files=(*theirs.files, *own.files),
            watch=theirs.watch if own.watch is None else own.watch,
            hardening=replace(
                theirs.hardening,
                read_only=theirs.hardening.read_only and own.hardening.read_only,
                capabilities=tuple(dict.fromkeys((*theirs.hardening.capabilities, *own.hardening.capabilities))),
                egress=True,
                mounts=(*theirs.hardening.mounts, *own.hardening.mounts),
            ),
        )

    def without_secrets(self, hidden: str) -> Self:
        app = self.of.without_secrets(hidden) if self.of is not None else None
        return replace(super().without_secrets(hidden), of=app)
