"""What every component has that runs a program of the user's choice: an app, a worker, a job, any container."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, field, replace
from typing import ClassVar, Self

from stack.checking import (
    checked_capabilities,
    checked_cpus,
    checked_environment,
    checked_files_of_variables,
    checked_labels,
    checked_memory,
    checked_seconds,
    checked_switch,
    checked_ulimits,
    checked_user,
    related_names,
    used_names,
)
from stack.component import Component
from stack.external import External, externals_in
from stack.frozen import dataclass
from stack.parts import TMP, USER, Volumes, check_origin, checked_build, checked_volumes, folders, without_secrets
from stack.placed import checked_files, checked_mounts, checked_watch
from stack.references import Variable
from stack.workload import Build, Limits


@dataclass(frozen=True)
class Program(Component):
    """A component that runs a program: its environment, what it uses, its volumes and its limits.

    - `image`: the name of an image; or `source`: the folder of a Dockerfile, relative to the stack file. `dockerfile`:
      its path in the source, if it is not `Dockerfile`; `target`, `args`: the stage of it to build, and the values of
      its arguments.
    - `environment`: plain values, references (`db.host`, `db.url`) and texts of them. A variable that ends in
      `_FILE` gets the path of a secret's file, any other its value. `env_files`: files beside the stack file whose
      variables it gets too, each as a secret; of two with one variable the last counts, and `environment` before them.
    - `uses`: the components it needs, or their names. Each gives its variables: `db` gives `DB_HOST`, `DB_PORT`, …
      `after`: those that it needs and whose variables it does not get. `reaches`: those that it reaches whichever is
      ready first, also in a circle, without their variables.
    - `volumes`: named folders that outlive it and are in snapshots, `{"media": "/app/media"}`; and those that other
      components share, `{"/app/media": media}` with `media = Volume("media")`.
    - `user`: the user and group in numbers that it runs as and that new volumes are given to; or by the image's own
      names, `node`, or `image` for the user that the image says, which may be root: then a new volume begins with what
      the image has there.
    - `writable`: it may write to its root file system. `capabilities`: of the kernel, which an image may need that
      begins as root.
    - `memory` in MiB; `ulimits`: of each of its processes, `{"nofile": 65536}`; `stop_grace`: the seconds that it gets
      to finish what is in flight.
    - `labels`: for programs that look for containers.
    - `files`: files and folders beside the stack file, which are copied and which it can't change,
      `{"nginx.conf": "/etc/nginx/nginx.conf"}`. Another content makes another container. `mounts`: for development,
      folders of the project that it reads as they are, `{"src": "/app/src"}`. `writable_mounts`: it may change them, as
      far as its user may.
    - `watch`: the files and folders of the project whose changes `stackctl watch` applies to it, `["src"]`; if that is
      None its source and its mounts, and nothing for an empty list.
    - `rereads_secrets`: it reads the file of a secret again when what it read is refused, and so outlives a `rotate`
      without being started again.
    """

    _: KW_ONLY
    image: str | None = None
    source: str | None = None
    dockerfile: str | None = None
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Variable] = field(default_factory=dict)
    env_files: Sequence[str] = ()
    uses: Sequence[Component | External | str] | None = ()
    after: Sequence[Component | str] = ()
    reaches: Sequence[Component | str] = ()
    volumes: Volumes = field(default_factory=dict)
    user: str | None = USER
    writable: bool = False
    capabilities: Sequence[str] = ()
    memory: int = 512
    cpus: float = 2.0
    stop_grace: int = 20
    ulimits: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    writable_mounts: bool = False
    rereads_secrets: bool = False
    watch: Sequence[str] | None = None

    # In MiB: with less the engine starts nothing.
    _LEAST_MEMORY: ClassVar[int] = 16
    _PROCESSES: ClassVar[int] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_origin()
        self._freeze("args", self.build.args)
        self._freeze("environment", checked_environment(self, self.environment))
        self._freeze("env_files", checked_files_of_variables(self, self.env_files))
        self._check_relations()
        self._freeze("volumes", checked_volumes(self, self.volumes))
        places = self._places()
        self._freeze("files", checked_files(self, self.files, places))
        self._freeze("mounts", checked_mounts(self, self.mounts, (*places, *self.files.values())))
        checked_switch(self, "writable_mounts", self.writable_mounts)
        if self.writable_mounts and not self.mounts:
            raise self.wrong("writable_mounts", "is for folders of the project, and `mounts` names none")
        self._check_user()
        checked_switch(self, "writable", self.writable)
        self._freeze("capabilities", checked_capabilities(self, self.capabilities))
        checked_memory(self, self.memory, least=self._LEAST_MEMORY)
        checked_cpus(self, self.cpus)
        checked_seconds(self, "stop_grace", self.stop_grace)
        self._freeze("ulimits", checked_ulimits(self, self.ulimits))
        self._freeze("labels", checked_labels(self, self.labels))
        checked_switch(self, "rereads_secrets", self.rereads_secrets)
        if self.watch is not None:
            self._freeze("watch", checked_watch(self, self.watch))

    def _check_origin(self) -> None:
        check_origin(self, self.image, self.source)

    def _check_relations(self) -> None:
        related = related_names(self, uses=self.uses, after=self.after, reaches=self.reaches)
        for relation, names in related.items():
            self._freeze(relation, (*names, *self.externals) if relation == "uses" else names)

    def _places(self) -> Collection[str]:
        """What has its place in the container already."""
        return (TMP, *folders(self.volumes).values())

    def _check_user(self) -> None:
        checked_user(self, self.user)

    @property
    def needs(self) -> tuple[str, ...]:
        return (*self.informs, *used_names(self, self.after))

    @property
    def informs(self) -> tuple[str, ...]:
        return used_names(self, self.uses)

    @property
    def externals(self) -> tuple[External, ...]:
        return externals_in(self.uses)

    @property
    def reached(self) -> tuple[str, ...]:
        return used_names(self, self.reaches)

    @property
    def declared(self) -> Mapping[str, str]:
        return dict.fromkeys(self.environment, self.name)

    @property
    def variable_files(self) -> tuple[str, ...]:
        return tuple(self.env_files)

    @property
    def build(self) -> Build:
        """How its image is made of its source."""
        return checked_build(self, self.image, self.dockerfile, self.target, self.args)

    @property
    def limits(self) -> Limits:
        return Limits(memory=self.memory, cpus=self.cpus, pids=self._PROCESSES, ulimits=self.ulimits)

    def without_secrets(self, hidden: str) -> Self:
        return replace(self, environment=without_secrets(self.environment, hidden))
