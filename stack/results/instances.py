"""What the commands report that show an instance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from stack.frozen import dataclass
from stack.observed import EngineState, Health, InstanceState
from stack.workload import PortId


@dataclass(frozen=True)
class ComponentStatus:
    """One component.

    `state`: the engine's word for it; `absent` if it does not exist, `done` if it is a job that has ended with 0,
    `stopped` if it does not run because `stop` named it.
    `health`: its health; `none` if it does not run or has no health check.
    `problem`: what is wrong with it on one line, or null.
    `restarts`: how often it was restarted since it was created.
    `since`: when it started, ISO 8601; null if that is not known.
    `ended`: when it ended, ISO 8601, if it is a job that has; else null.
    `port`: the port of this machine for the first port that it publishes, or null.
    `ports`: the port of this machine for each one that it publishes: `web`, or `search:console` for one with a name.
    `public`: whether it publishes its ports on every address of this machine, as declared.
    `image`: its image, or the program of a process; null if it does not exist.
    `replicas`: how many of it are declared; what is above is of the worst of them, and `restarts` of all.
    `replicas_well`: how many of them run and are not unhealthy.
    """

    state: EngineState | Literal["absent"]
    health: Health
    problem: str | None
    restarts: int
    since: datetime | None
    ended: datetime | None
    port: int | None
    ports: Mapping[PortId, int]
    public: bool
    image: str | None
    replicas: int
    replicas_well: int


@dataclass(frozen=True)
class MemoryUse:
    """The memory of one component.

    `used`: in bytes; null if it is not known.
    `limit`: in bytes; null if there is none.
    """

    used: int | None
    limit: int | None


@dataclass(frozen=True)
class Runs:
    """The runs of a schedule.

    `last_run`: when the last one began, ISO 8601; null if there was none.
    `seconds`: how long it took; null if it has not ended, or was cut off.
    `exit_code`: how it ended, null likewise.
    `running`: whether it goes on.
    `next_run`: when the next one is, ISO 8601; null if there is none in the next 50 years.
    `missed`: how many were missed, because the last one was still running or the schedule was not there to run them.
    `last_missed`: when the last of these was due, ISO 8601, or null.
    """

    last_run: datetime | None
    seconds: int | None
    exit_code: int | None
    running: bool
    next_run: datetime | None
    missed: int
    last_missed: datetime | None


@dataclass(frozen=True)
class ExternalStatus:
    """A server that the stack uses and does not run.

    `kind`: `PostgreSQL` or `Redis`; null if its URL has no value.
    `address`: its host and port; null if its URL has no value.
    `problem`: why it does not accept its URL from this machine, or null.
    """

    kind: str | None
    address: str | None
    problem: str | None


@dataclass(frozen=True)
class Elsewhere:
    """What an instance has at a place where it does not run.

    `place`: an engine of this machine, or a server, such as `ssh://deploy@shop.example.com`.
    `left`: when it was moved from there, ISO 8601; null if a `move` there did not end.
    """

    place: str
    left: datetime | None


@dataclass(frozen=True)
class StandbyStatus:
    """A component that has a standby on another node, and how that follows.

    `standby`: the name of the standby.
    `mode`: `sync` if the component acknowledges nothing that the standby does not have, else `async`.
    `node`: the node of the component, which is the primary, or null.
    `node_ready`: whether that node takes what is to run.
    `standby_node`: the node of the standby, or null.
    `standby_node_ready`: likewise.
    `state`: `streaming` if it has all that there is; `catching-up`; `absent`, also while it is filled; `unknown` if \
the component does not answer.
    `protected`: whether nothing is acknowledged now that the standby does not have.
    `behind_bytes`: what the standby has not on its disk yet; null if it does not follow.
    `behind_seconds`: how old the last change is that the standby shows; null likewise.
    `waiting`: how many sessions wait for the standby.
    """

    standby: str
    mode: Literal["sync", "async"]
    node: str | None
    node_ready: bool
    standby_node: str | None
    standby_node_ready: bool
    state: Literal["absent", "catching-up", "streaming", "unknown"]
    protected: bool
    behind_bytes: int | None
    behind_seconds: float | None
    waiting: int


@dataclass(frozen=True)
class StatusResult:
    """What exists of an instance, and how it is.

    `instance`: its name.
    `engine`: its engine.
    `engine_reason`: why it is on this engine, or null.
    `host`: the server that it is on, `ssh://user@name`; null if it is on this machine.
    `tunnel`: whether the ports of an instance on a server are reached from here; null if it is on this machine.
    `state`: the state of the whole; `up` if every declared component runs and is healthy, or is done, and each \
external server accepts its URL; `partial` if only what `stop` or `up` left out on purpose does not.
    `urls`: the address of each published port, if anything runs.
    `components`: each declared component, and those that are no longer declared.
    `memory`: the memory of each component.
    `runs`: those of each schedule that is running.
    `groups`: whether each group of components is on.
    `externals`: each server that is used and not run by stackctl.
    `elsewhere`: what a `move` left at another place, or null.
    `local`: the components in whose place `up --local` runs a process of this machine now.
    `standbys`: how the standby of each component that has one follows.
    """

    instance: str
    engine: str
    engine_reason: str | None
    host: str | None
    tunnel: Literal["open", "closed"] | None
    state: InstanceState
    urls: Mapping[PortId, str]
    components: Mapping[str, ComponentStatus]
    memory: Mapping[str, MemoryUse]
    runs: Mapping[str, Runs]
    groups: Mapping[str, bool]
    externals: Mapping[str, ExternalStatus]
    elsewhere: Elsewhere | None
    local: tuple[str, ...]
    standbys: Mapping[str, StandbyStatus]
