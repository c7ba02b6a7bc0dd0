"""What every engine can do. `tests/conformance/` holds each of them to the same behaviour."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from stack.capabilities import Serve, Session
from stack.engines.process import Job
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding
from stack.observed import ComponentState, Found, Leftovers, Listening, Observed
from stack.ports import Holder, Listener
from stack.registry import Entry
from stack.workload import Target, VolumeId


@dataclass(frozen=True)
class Traits:
    """What an engine is like, for what is decided above it.

    `target`: what it runs. `builds`: it builds an image from the source of a component, which needs a Dockerfile.
    """

    target: Target
    builds: bool


class Engine(Protocol):
    """An engine for one instance. It carries out and decides nothing.

    Every method raises `StackError` when the engine can't be reached or refuses; the codes are those of the
    README's table of errors.
    """

    name: str
    traits: Traits

    def check(self, within: float = 5) -> None:
        """Raise with what is missing where this engine can't run on this machine, or gives no answer in seconds."""

    def examine(self, own: bool) -> Iterator[Finding]:
        """Look at what this engine needs of the machine, and at what is left of instances that are gone.

        `own`: the instance is on this engine, and what it needs is looked at too. Changes nothing; each question has
        a time limit.
        """

    def notices(self) -> tuple[str, ...]:
        """What of this machine makes the instance less isolated than this engine makes it elsewhere."""

    def observe(self) -> Observed:
        """Read which components of the instance exist now, and how they are; change nothing."""

    def observe_all(self) -> Observed:
        """The same with the images and the data stores, which takes longer."""

    def fields(self) -> Mapping[str, Fields]:
        """The declaration of each component, field by field, as `observe` gives the fingerprint of."""

    def stores(self) -> Mapping[VolumeId, str]:
        """The revision in use of each volume, by the engine's name for it."""

    def memory(self, observed: Observed) -> Mapping[str, int]:
        """The bytes that each component uses now, where that can be known."""

    def all_stores(self) -> tuple[str, ...]:
        """The data stores that there are of the instance, by the engine's names, also those that nothing uses."""

    def leftovers(self) -> Leftovers:
        """What `destroy` would delete."""

    def render(self) -> str:
        """The configuration that `apply` hands to the engine."""

    def environment(self) -> Mapping[str, str]:
        """The variables with which the engine's own command line finds the instance."""

    def build(self) -> Job:
        """Start to build what the declaration names as source."""

    def apply(self, anew: Collection[str] = (), only: Collection[str] = ()) -> Job:
        """Start to make the instance as declared; `verdict` judges how it went.

        The components of `anew` are made anew although their configuration is as declared. With `only` nothing is
        done but to these, which use no others.
        """

    def keep_good(self) -> None:
        """Keep what runs now, which was found ready, for `restore_good`; remove what only the one before needed."""

    def has_good(self) -> bool:
        """Whether there is something for `restore_good`."""

    def restore_good(self) -> Job:
        """Start to make what `keep_good` kept last, with the images that it had."""

    def explain(self, job: Job) -> StackError:
        """What a job of `apply` or `start` that ended with an error tells of the cause."""

    def explain_build(self, job: Job) -> StackError:
        """The same for a job of `build`."""

    def start(self) -> Job:
        """Start to start the components that exist."""

    def stop(self, names: Collection[str] = ()) -> None:
        """Stop the components, all or those of `names`; keep them and their data."""

    def down(self) -> None:
        """Stop and remove the components; keep their data."""

    def destroy(self) -> None:
        """Remove everything of the instance, its data included."""

    def has_data(self, component: str) -> bool:
        """Whether there is data of a component, from an earlier `up`."""

    def renew_secrets(self) -> frozenset[str]:
        """Hand the secrets, as they are now, to what runs. Give the components that get them only when recreated."""

    def session(self, component: str, state: ComponentState | None = None) -> Session:
        """A session in a component that runs. `state` is its state now, if that is known."""

    def offline(self, component: str, serve: Serve) -> AbstractContextManager[Session]:
        """A session on the instance's volume of a component that does not run; nothing else of the instance need exist.

        A volume that is not there is made. Nothing else can reach the server, and it ends with the block, or with this
        process, however that ends.
        """

    def read_volume(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        """A tar of the files of a volume, whose component does not run. Raises `save-failed`."""

    def write_volume(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        """Put the files of a tar into a volume, which is made if it is not there. Raises `restore-failed`."""

    def free_space(self) -> int | None:
        """The bytes that are free where data is kept, if that is on this machine."""

    def remove_store(self, store: str) -> None:
        """Delete a data store that no component uses, by the engine's name for it."""

    def version(self, component: str) -> int | None:
        """The major version that serves the data of a component, or would."""

    def data_version(self, component: str) -> int | None:
        """The major version that made the data of a component, if that can be seen."""

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        """Where the processes of a published component listen, if that can be seen; `state` is its state now."""

    def log_lines(self, component: str | None, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        """Return the last `tail` lines (None: all) of a component, or of all of them with their names in front.

        With `since` only those that a component wrote from then on, as it is made now: never lines of what it replaced.
        An engine that does not know the time of a line begins with the first start from then on, or else the last one.
        """

    def follow_logs(self, component: str | None, tail: int | None, write: Callable[[str], None]) -> int:
        """Hand each line of the logs to `write` as it comes, until interrupted, or `write` raises `BrokenPipeError`."""


class Fleet(Protocol):
    """What an engine has on this machine, of all instances together."""

    name: str

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        """Who has a port, as this engine knows it; None where it is nobody of its own. `listener` is the process."""

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        """What there is of every instance, of those of `entries` and of any other.

        This and what follows raises `StackError` where the engine can't be asked.
        """

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        """The bytes of the data of each, by project, where that can be known within seconds."""

    def remove(self, found: Found, data: bool) -> None:
        """Remove all that there is of an instance; its data only with `data`."""

    def untagged(self) -> Mapping[str, str]:
        """The images that builds left without a name and that nothing uses, each with the name of its instance."""

    def remove_images(self, images: Sequence[str]) -> None:
        """Remove images that nothing uses."""
