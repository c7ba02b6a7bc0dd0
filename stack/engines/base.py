"""Define what every engine can do. `tests/conformance/` holds each of them to the same behaviour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field, replace
from datetime import datetime
from typing import IO, Protocol

from stack.capabilities import Completed, Serve, Session
from stack.copying import FileCopy
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding
from stack.frozen import dataclass
from stack.instance import Instance
from stack.observed import ComponentState, Found, Listening, Observed, Resources
from stack.ports import Holder, Listener
from stack.progress import Progress
from stack.registry import Entry
from stack.workload import Target, VolumeId


@dataclass(frozen=True)
class Traits:
    """The properties of an engine that commands decide by.

    `target`: what it runs. `builds`: it builds an image from the source of a component, which needs a Dockerfile.
    `program`: the name of the program that has to run on this machine for it. `unreachable`: the error codes of
    `check` after which every other question would wait long for an answer. `unspecific`: the error code of a job that
    failed for a cause that the engine does not know. `serves`: an instance on it may be on a server, see `--host`.
    `chosen_by_itself`: it may be chosen though no option names it.
    `ports_here`: what is published is on a port of this machine.
    """

    target: Target
    builds: bool
    program: str
    unspecific: str
    unreachable: frozenset[str] = frozenset()
    chosen_by_itself: bool = True
    ports_here: bool = True
    serves: bool = False


@dataclass(frozen=True)
class LogQuery:
    """Which lines of the logs are wanted: of these components, or of all if none is named.

    `tail`: the last so many of each, None for all. `since`: those that were written from then on.
    """

    names: tuple[str, ...] = ()
    tail: int | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class LogLine:
    """A line that a component wrote: `replica` is its number if there are several, `time` when that was, if known."""

    component: str
    text: str
    replica: int | None = None
    time: datetime | None = None

    @property
    def name(self) -> str:
        """What stands in front of the line: `web`, `worker-2`."""
        return self.component if self.replica is None else f"{self.component}-{self.replica}"


@dataclass(frozen=True)
class Local:
    """What a process of this machine has that takes the place of a component.

    `variables`: in them addresses and paths are those of this machine. `command`: how the component runs without a
    container; None if it does not say.
    """

    variables: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] | None


class Tunnel(Protocol):
    """What brings the published ports of an instance on a server to this machine."""

    @property
    def ports(self) -> frozenset[int]:
        """The ports of this machine that it has now; none if it is not open."""

    def open(self) -> None:
        """Open it for the ports of the instance, if it is not. It goes on until the instance is stopped."""

    def close(self) -> None:
        """Close it, if it is open."""


class Volumes(ABC):
    """The data of an instance, in volumes that outlive its components. A name is the engine's for a volume."""

    @abstractmethod
    def declared(self) -> Mapping[VolumeId, str]:
        """Give the name of the revision in use of each volume that the stack declares."""

    @abstractmethod
    def existing(self) -> tuple[str, ...]:
        """Give the names of all that exist, also of those that nothing uses any more."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a volume that no component uses."""

    @abstractmethod
    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        """Give a tar of the files of a volume, whose component does not run. Raises `save-failed`."""

    @abstractmethod
    def write(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        """Put the files of a tar into a volume, which is made if it does not exist. Raises `restore-failed`."""

    @abstractmethod
    def copying(self, source: Instance, volume: VolumeId) -> AbstractContextManager[FileCopy]:
        """Open the copy of a volume of another instance, which may run, into the same of this one, which is new.

        The other is on the same engine and server. Raises `branch-failed`.
        """

    def free_space(self) -> int | None:
        """Give the bytes that are free for volumes, if they are on this machine."""
        return None

    def version(self, component: str) -> int | None:
        """Give the major version that made the data of a component, if that can be seen."""
        return None

    def has_data(self, component: str) -> bool:
        """Say whether there is data of a component, from an earlier `up`."""
        return component in self.with_data()

    def with_data(self) -> set[str]:
        """Name the components and shared volumes of which there is data."""
        existing = self.existing()
        return {volume.component for volume, name in self.declared().items() if name in existing}


@dataclass(frozen=True)
class Machine:
    """A machine of several. `ready`: it takes what is to run."""

    name: str
    ready: bool


class Standbys(ABC):
    """The machine that has the data of an instance, and the one that has copies of it."""

    @abstractmethod
    def home(self) -> Machine | None:
        """Find the one with the data; None if none was chosen yet."""

    @abstractmethod
    def spare(self) -> Machine | None:
        """Find the one with the copies; None if none was chosen yet."""

    @abstractmethod
    def holds_all(self) -> bool:
        """Say whether the copies were found to have all that was acknowledged, and were not replaced since."""

    @abstractmethod
    def note(self, holds_all: bool) -> None:
        """Remember that."""

    @abstractmethod
    def given_up(self) -> bool:
        """Say whether the machine with the data was given up, and no other has taken its place yet."""

    @abstractmethod
    def fence(self, primaries: Sequence[str]) -> None:
        """Let these never run again on the machine that has the data. Raises `not-fenced`."""

    @abstractmethod
    def take_over(self, primaries: Sequence[str], standbys: Sequence[str]) -> None:
        """Stop these standbys, which are promoted, and start what they followed on their machine with their data."""


class Revisions(ABC):
    """The last known good revision of an instance: what ran when it was last found ready."""

    @abstractmethod
    def save(self) -> None:
        """Save what runs now, in place of what was saved before; remove what only that needed."""

    @abstractmethod
    def exists(self) -> bool:
        """Say whether one is saved."""

    @abstractmethod
    def restore(self, only: Collection[str] = ()) -> Job:
        """Start to run what was saved, with the images that it had; with `only` nothing but these components."""


class Engine(ABC):
    """An engine for one instance. It carries out and decides nothing.

    Every method raises `StackError` if the engine can't be reached or refuses; the codes are those of
    docs/errors.md.
    """

    name: str
    traits: Traits

    # The machine

    @abstractmethod
    def check(self, within: float = 5) -> None:
        """Raise with what is missing if this engine can't run on this machine, or gives no answer in seconds."""

    @abstractmethod
    def examine(self, own: bool) -> Iterator[Finding]:
        """Look at what this engine needs of the machine, and at what is left of instances that are gone.

        `own`: the instance is on this engine, and what it needs is looked at too. Changes nothing; each question has
        a time limit.
        """

    def locked(self, progress: Progress) -> AbstractContextManager[None]:
        """Keep other machines from changing the instance for the block, if it is where they can: on a server.

        Those of this machine are kept from it by the lock of its state. Raises `instance-busy` after a minute.
        """
        return nullcontext()

    def notices(self) -> tuple[str, ...]:
        """Say what of this machine makes the instance less isolated than this engine makes it elsewhere."""
        return ()

    def losses(self) -> tuple[str, ...]:
        """Say what is declared and this engine does not do, each with the path of its field."""
        return ()

    def placement(self) -> tuple[str, ...]:
        """Say on which machine the data is, or will be, and where ports are published, if there are several."""
        return ()

    # What is declared

    @abstractmethod
    def fields(self) -> Mapping[str, Fields]:
        """Give the declaration of each component, field by field, as `observe` gives the fingerprint of."""

    @abstractmethod
    def render(self) -> str:
        """Give the configuration that `apply` hands to the engine."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Give the variables with which the engine's own command line finds the instance."""

    @abstractmethod
    def variables(self, component: str) -> Mapping[str, str]:
        """Give the variables that a component is started with, with `***` for each secret."""

    @abstractmethod
    def version(self, component: str) -> int | None:
        """Give the major version that serves the data of a component, or would."""

    # What exists

    @abstractmethod
    def observe(self) -> Observed:
        """Read which components of the instance exist now, and how they are; change nothing."""

    def observe_all(self) -> Observed:
        """Read the same with the images and the volumes, which takes longer."""
        return replace(self.observe(), stores=frozenset(self.volumes.existing()))

    @abstractmethod
    def resources(self) -> Resources:
        """Name all that `destroy` would delete."""

    def memory(self, observed: Observed) -> Mapping[str, int]:
        """Give the bytes that each component uses now, if that can be known."""
        used = self._memory([each for state in observed.components.values() for each in state.each])
        known = {
            name: [used[each.id] for each in state.each if each.id in used]
            for name, state in observed.components.items()
        }
        return {name: sum(amounts) for name, amounts in known.items() if amounts}

    def _memory(self, replicas: Sequence[ComponentState]) -> Mapping[str, int]:
        """Give the bytes that each container or process uses now, by its id, if that can be known."""
        return {}

    def prepares(self, state: ComponentState) -> bool:
        """Say whether what runs so far only prepares the start of a component's program."""
        return False

    def processor_demand(self, state: ComponentState) -> float | None:
        """Give the seconds that one container or process took or waited for a processor, if that can be known."""
        return None

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        """Find where the processes of a published component listen, if that can be seen; `state` is its state now."""
        return None

    @property
    def tunnel(self) -> Tunnel | None:
        """Reach what brings the published ports here; None if the instance is on this machine."""
        return None

    @property
    @abstractmethod
    def volumes(self) -> Volumes:
        """Reach the data of the instance."""

    @abstractmethod
    def log_lines(self, component: str, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        """Return the last `tail` lines (None: all) of a component, from `since` on as it is made now.

        With `since` there are never lines of what it replaced. An engine that does not know the time of a line begins
        with the first start from then on, or else the last one.
        """

    @abstractmethod
    def read_logs(self, query: LogQuery) -> Sequence[LogLine]:
        """Return the lines of the logs.

        An engine that does not know the time of a line leaves out what is certainly older, and no more.
        """

    @abstractmethod
    def follow_logs(self, query: LogQuery, write: Callable[[LogLine], None]) -> int:
        """Hand each line of the logs to `write` as it comes, until interrupted, or `write` raises `BrokenPipeError`."""

    # Changes

    def build(self, names: Collection[str] = ()) -> Job:
        """Start to build what the declaration names as source, of all or these components.

        An engine that builds no images has nothing to do.
        """
        return FinishedJob()

    def fetch(self) -> Job:
        """Start to fetch the images that `apply` needs and that are not there; an engine without images has none."""
        return FinishedJob()

    @abstractmethod
    def apply(self, recreate: Collection[str] = (), only: Collection[str] = (), made: Collection[str] = ()) -> Job:
        """Start to make the instance as declared; `verdict` judges how it went.

        The components of `recreate` are recreated although their configuration is as declared. With `only` nothing is
        done but to these, which use no others. Those of `made` are as declared already: this command has made them.
        """

    @abstractmethod
    def start(self, names: Collection[str] = ()) -> Job:
        """Start the components that exist: those of `names`, or all but those that do not run on purpose."""

    @abstractmethod
    def stop(self, names: Collection[str] = ()) -> None:
        """Stop the components, all or those of `names`; keep them and their data."""

    @abstractmethod
    def down(self) -> None:
        """Stop and remove the components; keep their data."""

    @abstractmethod
    def destroy(self) -> None:
        """Remove everything of the instance, its data included."""

    def newest(self, images: Sequence[str]) -> Mapping[str, str]:
        """Return the digest that each image has in its registry now. Raises `registry-unavailable`, and `no-images`."""
        raise StackError(
            "no-images",
            "the instance runs on an engine without images",
            "run `stackctl --engine compose update` where Docker is",
        )

    def foreign(self, project: str) -> Foreign:
        """Find a project of the engine's own tools that is no instance. Raises `project-unknown`, and `no-images`."""
        raise StackError(
            "no-images",
            "the instance runs on an engine without containers",
            "run it with --engine compose, where Docker is",
        )

    @abstractmethod
    def renew_secrets(self) -> Mapping[str, str]:
        """Hand the secrets, as they are now, to what runs. Say why components get them only when recreated, by name."""

    @property
    def standbys(self) -> Standbys | None:
        """Reach where the data and its copies are; None if nothing has a standby."""
        return None

    @property
    @abstractmethod
    def revisions(self) -> Revisions:
        """Reach the last known good revision."""

    # Commands in components

    @abstractmethod
    def session(self, component: str, state: ComponentState | None = None) -> Session:
        """Open a session in a component that runs. `state` is its state now, if that is known."""

    @abstractmethod
    def run_one_off(self, component: str, command: Sequence[str], capture: bool) -> Completed:
        """Run a command in a container or as a process of its own, with all that a component has but its ports.

        The component need not run. It is on this process's own streams, or with `capture` what it writes is in the
        answer. Nothing is left of it at its end, and nothing for longer than until the next change if this process is
        killed. Raises `component-down` if the component was never made.
        """

    @abstractmethod
    def local(self, component: str) -> AbstractContextManager[Local]:
        """Give for the block what a process of this user has in the place of a component; what it uses has to run.

        Raises `component-down` if a value is missing that only an `up` makes.
        """

    @abstractmethod
    def offline(self, component: str, serve: Serve) -> AbstractContextManager[Session]:
        """Open a session on the instance's volume of a component that does not run; nothing else need exist.

        A volume that does not exist is made. Nothing else can reach the server, and it ends with the block, or with
        this process, however that ends.
        """


class Foreign(Protocol):
    """A project that stackctl did not make, whose data is read and left as it is."""

    @property
    def name(self) -> str: ...

    @property
    def services(self) -> tuple[str, ...]: ...

    @property
    def running(self) -> tuple[str, ...]: ...

    def store(self, service: str, target: str) -> str | None:
        """Return what a service has mounted at a path; None if that is nothing."""

    def session(self, service: str, serve: Serve) -> AbstractContextManager[Session]:
        """A session in the container of a service; if it does not run, in one on a copy of its data."""

    def read(self, service: str, target: str) -> AbstractContextManager[IO[bytes]]:
        """A tar of the files that a service has at a path."""


class Fleet(Protocol):
    """What an engine has on this machine, of all instances together."""

    name: str

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        """Find the owner of a port among what this engine runs; None for any other. `listener` is the process."""

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        """Find what exists of every instance, of those of `entries` and of any other.

        This and what follows raises `StackError` if the engine can't be asked.
        """

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        """Measure the data of each in bytes, by project, if that can be done within seconds."""

    def remove(self, found: Found, data: bool) -> None:
        """Remove all that exists of an instance; its data only with `data`."""

    def untagged(self) -> Mapping[str, str]:
        """List the images that builds left without a name and that nothing uses, with the names of their instances."""

    def remove_images(self, images: Sequence[str]) -> None:
        """Remove images that nothing uses."""
