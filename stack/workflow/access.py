"""Reach the data of a component, or of a volume that several share, through its engine; see `capabilities.Access`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO

from stack.capabilities import DataStore, Login, Serve, Session
from stack.causes import recognise
from stack.differing import Differ
from stack.engines.base import Engine
from stack.errors import StackError
from stack.frozen import dataclass
from stack.model import Stack
from stack.workload import Target, VolumeId


@dataclass(frozen=True)
class DataAccess:
    """Of one component of an instance, or of the shared volume of that name."""

    engine: Engine
    component: str

    @property
    def target(self) -> Target:
        return self.engine.traits.target

    @property
    def foreign(self) -> bool:
        return False

    @property
    def volumes(self) -> Mapping[str, str]:
        return {
            volume.name: store
            for volume, store in self.engine.volumes.declared().items()
            if volume.component == self.component
        }

    @contextlib.contextmanager
    def session(self, serve: Serve) -> Iterator[Session]:
        state = self.engine.observe().components.get(self.component)
        if state is not None and state.running:
            yield self.engine.session(self.component)
            return
        if state is not None and state.state not in ("exited", "created"):
            # It is neither running nor at rest.
            self.engine.stop([self.component])
        with self.offline(serve) as session:
            yield session

    @contextlib.contextmanager
    def offline(self, serve: Serve) -> Iterator[Session]:
        try:
            with self.engine.offline(self.component, serve) as session:
                yield session
        except StackError as error:
            cause = recognise(self.component, error.output, serve.role) if error.code == serve.failure.code else None
            if cause is None:
                raise
            raise StackError(cause.code, f"{cause.message}; {error.message}", cause.hint, error.output) from error

    def read(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        return self.engine.volumes.read(VolumeId.of(self.component, volume))

    def write(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        return self.engine.volumes.write(VolumeId.of(self.component, volume))

    def free_space(self) -> int | None:
        return self.engine.volumes.free_space()


def data_owners(stack: Stack) -> tuple[str, ...]:
    """Return the names of all that may have data: the components, and the volumes that belong to none of them."""
    return (*stack.names, *stack.shared_volumes)


def data_store(stack: Stack, name: str) -> DataStore | None:
    """Return how the data of a component or a shared volume is saved: in its own way, else as files of its volumes.

    None for one that has no data, is not declared, or is declared not to be saved.
    """
    # Only a command that saves or loads needs it.
    from stack.snapshots.volumes import VolumeFiles

    if (shared := stack.shared_volumes.get(name)) is not None:
        return VolumeFiles(name, ("",), shared.owner) if shared.backup else None
    if name not in stack.names:
        return None
    component = stack[name]
    if component.data is not None:
        return component.data
    workload = component.workload("container")
    names = tuple(
        volume.id.name for volume in workload.volumes if volume.id.component == component.name and volume.backup
    )
    return VolumeFiles(component.name, names, workload.hardening.owner) if names else None


def differ_of(stack: Stack, name: str) -> Differ | None:
    """Return how the data of a component or a shared volume is compared: in its own way, else as files of its volumes.

    None for one that has no data, is not declared, or is declared not to be saved.
    """
    from stack.snapshots.volumes import VolumeFiles
    from stack.workflow.file_differences import FileDiffer

    if name in stack.names and (own := stack[name].differ) is not None:
        return own
    data = data_store(stack, name)
    return FileDiffer(data) if isinstance(data, VolumeFiles) else None


def login_of(stack: Stack, name: str) -> Login | None:
    """Return the account of a component; a shared volume has none."""
    return stack[name].login if name in stack.names else None


def unsaved(stack: Stack) -> tuple[str, ...]:
    """Return the names of the volumes that are declared not to be saved."""
    return tuple(name for name, each in stack.shared_volumes.items() if not each.backup)
