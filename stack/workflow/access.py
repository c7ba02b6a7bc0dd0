"""Reach the data of a component through its engine; see `stack.capabilities.Access`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO

from stack.capabilities import DataStore, Serve, Session
from stack.engines.base import Engine
from stack.model import Component
from stack.workload import Target, VolumeId


@dataclass(frozen=True)
class DataAccess:
    """Of one component of an instance."""

    engine: Engine
    component: str

    @property
    def target(self) -> Target:
        return self.engine.traits.target

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
        with self.engine.offline(self.component, serve) as session:
            yield session

    def offline(self, serve: Serve) -> AbstractContextManager[Session]:
        return self.engine.offline(self.component, serve)

    def read(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        return self.engine.volumes.read(VolumeId.of(self.component, volume))

    def write(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        return self.engine.volumes.write(VolumeId.of(self.component, volume))

    def free_space(self) -> int | None:
        return self.engine.volumes.free_space()


def data_store(component: Component) -> DataStore | None:
    """Return how the data of a component is saved: in its own way, else as files of its volumes; None without data."""
    if component.data is not None:
        return component.data
    # Only a command that saves or loads needs it.
    from stack.snapshots.volumes import VolumeFiles

    workload = component.workload("container")
    names = tuple(volume.id.name for volume in workload.volumes if volume.id.component == component.name)
    return VolumeFiles(component.name, names, workload.hardening.user) if names else None
