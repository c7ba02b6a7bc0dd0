"""What exists now, read once from an engine. Values; to read them again, observe again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from stack.fields import Fields
from stack.workload import PortId

Health = Literal["starting", "healthy", "unhealthy", "unstable", "none"]
"""`unstable`: it runs and answers now, but has ended again and again until a moment ago."""


@dataclass(frozen=True)
class ComponentState:
    """One component as it runs: `state` is the engine's word (`running`, `exited`, `restarting`, `created`, …).

    `id` is the engine's name for what runs, another after it was recreated. `restarts` counts those since then,
    `exit_code` is the last one of a process that ended, `since` when it started, `health_output` what its last
    health check said. `process` is its number where it runs, `memory_limit` is in bytes. `declaration` is the
    fingerprint of the fields that it was made with, `live` those of them that can be changed in place, as they are now.
    `health_at` is when its health was asked last, where it is not asked now. `ports`: the port of this machine for
    each one that it listens on and that is known, the first of its declaration first.
    """

    id: str
    state: str
    health: Health
    restarts: int
    exit_code: int
    oom_killed: bool
    since: datetime | None
    image: str
    ports: Mapping[PortId, int] = field(default_factory=dict)
    health_output: str = ""
    process: int | None = None
    memory_limit: int | None = None
    declaration: str = ""
    image_id: str = ""
    live: Fields = field(default_factory=dict)
    health_at: datetime | None = None

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def well(self) -> bool:
        """It runs, and is healthy where it says anything of its health."""
        return self.running and self.health in ("healthy", "none")

    @property
    def summary(self) -> str:
        """For people: `healthy`, `running`, `exited (3)`."""
        if self.running:
            return self.state if self.health == "none" else self.health
        return f"{self.state} ({self.exit_code})" if self.state in ("exited", "restarting") else self.state


@dataclass(frozen=True)
class Listening:
    """Where a component that is published listens: `found` has each address with its port.

    It has to listen on `port`, and `inside` a container on an address that is reached from outside of it.
    """

    found: frozenset[tuple[str, int]]
    port: int
    inside: bool


@dataclass(frozen=True)
class Observed:
    """The components of an instance that exist, by name, those that are no longer declared included.

    `mounted`: the engine's names of the data stores that they use, running or not. If all was asked for, `images`: the
    image that each would be made from now, if it exists; and `stores`: the names of all data stores that exist.
    """

    components: Mapping[str, ComponentState]
    images: Mapping[str, str] = field(default_factory=dict)
    stores: frozenset[str] = frozenset()
    mounted: frozenset[str] = frozenset()

    @property
    def processes(self) -> Mapping[str, object]:
        """Return what changes whenever a component is started, stopped or recreated."""
        return {
            name: (component.id, component.state, component.restarts, component.since)
            for name, component in self.components.items()
        }

    @property
    def exists(self) -> bool:
        return bool(self.components)

    @property
    def running(self) -> bool:
        return any(component.running for component in self.components.values())


@dataclass(frozen=True)
class Resources:
    """What an engine holds of an instance: the names of what `reset` deletes."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.volumes or self.images)


@dataclass(frozen=True)
class Found:
    """What an engine holds of one instance, as it is found without the instance's declaration.

    `states`: the folders that its parts name as its state. `components`: the word for each that exists, as
    `ComponentState.summary`. `ports`: those that are published and known. `since`: when the oldest part was made.
    `folder`: where the engine keeps it, if that is a folder.
    """

    engine: str
    project: str
    instance: str
    states: tuple[Path, ...] = ()
    components: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[PortId, int] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    since: datetime | None = None
    folder: Path | None = None
