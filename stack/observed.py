"""What exists now, read once from an engine. Values; to read them again, observe again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from stack.fields import Fields
from stack.frozen import dataclass
from stack.workload import PortId

Health = Literal["starting", "healthy", "unhealthy", "unstable", "none"]
"""`unstable`: it runs and answers now, but has ended again and again until a moment ago."""

EngineState = Literal[
    "created", "running", "paused", "restarting", "removing", "stopping", "stopped", "exited", "dead", "done"
]  # fmt: skip
"""The words of the engines for what exists; `stopping` is the embedded engine's alone. No engine knows two of them:
`done` has a job that has ended with 0, and whose end was seen; `stopped` what does not run on purpose."""

StateWord = Literal[EngineState, "starting", "healthy", "unhealthy", "unstable", "absent"]
"""State and health of a component in one word: its health if it runs and has a health check."""

InstanceState = Literal["absent", "stopped", "restarting", "degraded", "partial", "up"]
"""The state of a whole instance, see `instance_state`; `partial`: all is well but what does not run on purpose."""

ListedState = Literal[InstanceState, "orphaned", "unknown"]
"""The state of an instance that was found on the machine, whose state directory or engine may be gone."""

_WELL: frozenset[StateWord] = frozenset(["running", "healthy", "done"])
_RUNNING: frozenset[StateWord] = frozenset(["running", "healthy", "starting", "unhealthy", "unstable"])
# The words for what exists, the worst first.
_WORST: tuple[StateWord, ...] = (
    "dead", "exited", "restarting", "removing", "stopping", "paused", "created", "stopped", "unhealthy", "unstable",
    "starting", "running", "healthy", "done",
)  # fmt: skip


@dataclass(frozen=True)
class ComponentState:
    """One component as it runs: `state` is the engine's word (`running`, `exited`, `restarting`, `created`, …).

    `id` is the engine's name for what runs, another after it was recreated. `restarts` counts those since then,
    `exit_code` is the last one of a process that ended, `since` when it started, `health_output` what its last
    health check said. `process` is its number where it runs, `memory_limit` is in bytes. `declaration` is the
    fingerprint of the fields that it was made with, `live` those of them that can be changed in place, as they are now.
    `health_at` is when its health was asked last, where it is not asked now. `ports`: the port of this machine for
    each one that it listens on and that is known, the first of its declaration first. `once`: it has to end by itself,
    and is well then; `ended` is when it did. One whose container is gone since has no `id`. `node`: the name of the
    machine that it is on, and `address` where its ports answer; empty if that is this machine. `reason`: why it does
    not run, in the words of an engine that says so.

    Of a component with `replicas` it is the state of the worst of them, whose number is `number`, but for what counts
    them together: see `together`. `wanted`: how many are declared.
    """

    id: str
    state: EngineState
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
    once: bool = False
    ended: datetime | None = None
    number: int = 1
    address: str = ""
    node: str = ""
    reason: str = ""
    wanted: int = 1
    replicas: tuple[ComponentState, ...] = ()

    @property
    def each(self) -> tuple[ComponentState, ...]:
        """The state of each replica; of a component without any its own."""
        return self.replicas or (self,)

    @property
    def first(self) -> ComponentState:
        """The replica that a command is run in: the first that runs, if any does."""
        return next((each for each in self.each if each.running), self.each[0])

    @property
    def running(self) -> bool:
        """Whether any of it runs."""
        return any(each.state == "running" for each in self.each)

    @property
    def well(self) -> bool:
        """All of it runs, and is healthy if it says anything of its health; or it had to end, and is done."""
        return self.state == ("done" if self.once else "running") and self.health in ("healthy", "none")

    @property
    def summary(self) -> str:
        """For people: `healthy`, `running`, `exited (3)`; with replicas `healthy 2/2`, those that are well first."""
        said = f"{self.word} ({self.exit_code})" if self.state in ("exited", "restarting") else self.word
        return f"{said}{self.count}"

    @property
    def count(self) -> str:
        """For people: ` 1/2`, if one of two replicas is well; nothing for a component that has no replicas."""
        return f" {sum(each.well for each in self.replicas)}/{self.wanted}" if self.replicas else ""

    @property
    def word(self) -> StateWord:
        if self.state != "running" or self.health == "none":
            return self.state
        return self.health


def together(replicas: Iterable[ComponentState], wanted: int) -> ComponentState:
    """Sum up the replicas of a component, of which `wanted` are declared; a single one is all there is of it.

    The whole is as its worst replica, and unhealthy if one is missing. Its `id` changes if any is made again, `since`
    is when the last one started, `restarts` counts those of all, and `memory_limit` is what they may use together.
    """
    states = sorted(replicas, key=lambda each: each.number)
    if len(states) == wanted == 1:
        return states[0]
    worst = min(states, key=lambda each: _WORST.index(each.word))
    limits = [each.memory_limit for each in states if each.memory_limit is not None]
    whole = replace(
        worst,
        id=" ".join(each.id for each in states),
        restarts=sum(each.restarts for each in states),
        since=max((each.since for each in states if each.since), default=None),
        memory_limit=sum(limits) if limits else None,
        wanted=wanted,
        replicas=tuple(states),
    )
    missing = wanted - len(states)
    if missing <= 0 or not worst.well:
        return whole
    return replace(whole, health="unhealthy", health_output=f"{missing} of its {wanted} replicas is not there")


def worst_of(words: Iterable[StateWord]) -> StateWord:
    """Return the word for the worst of several replicas."""
    return min(words, key=_WORST.index)


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
    image that each would be made from now, if it exists; `stores`: the names of all data stores that exist; and
    `moved`: the pinned images whose tag stands for another version here.
    """

    components: Mapping[str, ComponentState]
    images: Mapping[str, str] = field(default_factory=dict)
    stores: frozenset[str] = frozenset()
    mounted: frozenset[str] = frozenset()
    moved: tuple[str, ...] = ()

    @property
    def processes(self) -> Mapping[str, object]:
        """Return what changes whenever a component is started, stopped or recreated."""
        return {
            name: (component.id, component.state, component.restarts, component.since)
            for name, component in self.components.items()
            if component.id
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
    `ComponentState.word`. `ports`: those that are published and known. `since`: when the oldest part was made.
    `folder`: where the engine keeps it, if that is a folder. `addresses`: where the ports of components answer that are
    not on this machine.
    """

    engine: str
    project: str
    instance: str
    states: tuple[Path, ...] = ()
    components: Mapping[str, StateWord] = field(default_factory=dict)
    ports: Mapping[PortId, int] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    since: datetime | None = None
    folder: Path | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)


def is_running(words: Mapping[str, StateWord]) -> bool:
    """Return whether any component runs, of each of which the state is known."""
    return any(word in _RUNNING for word in words.values())


def instance_state(words: Mapping[str, StateWord], declared: Collection[str] | None = None) -> InstanceState:
    """Sum up the components that exist: `up` if all those `declared` run and are healthy, or are done.

    Without `declared` it is all those that exist. `restarting`: nothing runs, but what ended is started again.
    """
    if not words:
        return "absent"
    expected = words if declared is None else declared
    if all(words.get(name) == "done" for name in expected):
        return "up"
    if not is_running(words):
        return "restarting" if "restarting" in words.values() else "stopped"
    return "up" if all(words.get(name) in _WELL for name in expected) else "degraded"
