"""What the commands report that start, stop, delete and follow an instance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from stack.frozen import dataclass
from stack.observed import StateWord
from stack.results.instances import ComponentStatus, ExternalStatus
from stack.results.plans import PlannedChanges
from stack.workload import PortId


@dataclass(frozen=True)
class UpResult:
    """An instance that `up` or `restart` has started.

    `instance`: its name.
    `engine`: its engine.
    `engine_reason`: why it is on this engine, or null.
    `changed`: whether anything was created, started or changed.
    `urls`: the address of each published port.
    `automatic_ports`: the ports that stackctl chose because the declared ones were taken.
    `notices`: warnings, as text for people.
    `components`: each component as it is now.
    `restarted`: how often a component was restarted while `up` waited, for those that were.
    `plan`: what was to be done.
    """

    instance: str
    engine: str
    engine_reason: str | None
    changed: bool
    urls: Mapping[PortId, str]
    automatic_ports: Mapping[PortId, int]
    notices: tuple[str, ...]
    components: Mapping[str, ComponentStatus]
    restarted: Mapping[str, int]
    plan: PlannedChanges


@dataclass(frozen=True)
class StartResult:
    """An instance that `start` has started.

    `instance`: its name.
    `urls`: the address of each published port.
    `components`: each component as it is now.
    `restarted`: how often a component was restarted while `start` waited, for those that were.
    `notices`: warnings, as text for people.
    """

    instance: str
    urls: Mapping[PortId, str]
    components: Mapping[str, ComponentStatus]
    restarted: Mapping[str, int]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class WaitResult:
    """An instance that is ready.

    `instance`: its name.
    `engine`: its engine.
    `urls`: the address of each published port.
    `seconds`: how long `wait` took, in seconds.
    `components`: each component as it is now.
    `externals`: each server that the stack uses and does not run, by its name.
    """

    instance: str
    engine: str
    urls: Mapping[PortId, str]
    seconds: float
    components: Mapping[str, ComponentStatus]
    externals: Mapping[str, ExternalStatus]


@dataclass(frozen=True)
class StopResult:
    """An instance that is stopped, or some components of it.

    `instance`: its name.
    `stopped`: the components that were stopped.
    `notices`: warnings, as text for people.
    """

    instance: str
    stopped: tuple[str, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class DownResult:
    """An instance that is down.

    `instance`: its name.
    `kept`: the data stores that are kept.
    `notices`: warnings, as text for people.
    """

    instance: str
    kept: tuple[str, ...]
    notices: tuple[str, ...]


Deletable = Literal["volumes", "containers", "networks", "images", "state"]
"""The kinds of what `reset` deletes."""


@dataclass(frozen=True)
class ResetResult:
    """An instance that is deleted.

    `instance`: its name.
    `deleted`: the names of what is deleted, by kind.
    `snapshot`: the snapshot that `undo` brings back, or null if none was saved.
    `ports`: the chosen ports, which a new `up` does not remember.
    """

    instance: str
    deleted: Mapping[Deletable, tuple[str, ...]]
    snapshot: Path | None
    ports: Mapping[PortId, int]


@dataclass(frozen=True)
class NothingToReset:
    """An instance of which nothing exists.

    `instance`: its name.
    `deleted`: empty.
    """

    instance: str
    deleted: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class RotateResult:
    """A database that has a new password.

    `instance`: the name of the instance.
    `component`: the database.
    `restarted`: the components that were restarted for it.
    """

    instance: str
    component: str
    restarted: tuple[str, ...]


@dataclass(frozen=True)
class FailoverResult:
    """Components whose standbys have taken their place.

    `instance`: the name of the instance.
    `moved`: the components.
    `from_node`: the node that they were on.
    `to_node`: the node that they are on.
    `left`: the components whose data was on that node alone, and that begin with none.
    `seconds`: how long it took from the confirmation until they worked.
    """

    instance: str
    moved: tuple[str, ...]
    from_node: str
    to_node: str
    left: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Event:
    """One line of `events`: a component, or a server that stackctl does not run, at first and then at each change.

    `time`: when it was seen, ISO 8601 with milliseconds.
    `component`: its name.
    `from`: its state before; null for the first line of a component.
    `to`: its state now.
    `restarts`: how often it was restarted since it was created.
    `exit_code`: the exit code of the process that ended; null if none did.
    """

    time: str
    component: str
    from_: StateWord | None
    to: StateWord
    restarts: int
    exit_code: int | None
