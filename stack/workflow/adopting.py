"""Take the data of a Compose project that stackctl did not make into a snapshot of an instance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from stack.capabilities import DataStore, Serve, Session
from stack.engines.base import Foreign
from stack.errors import StackError
from stack.frozen import dataclass
from stack.model import Stack
from stack.progress import Progress
from stack.report import size
from stack.snapshots.archive import Writer
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.version import __version__
from stack.workflow.keeping import data_stores, writers
from stack.workflow.opened import Opened, whole
from stack.workload import Target, Volume


@dataclass(frozen=True)
class Matched:
    """A data store that a service of the project has the data of. `targets`: where its volumes are there, by name."""

    name: str
    service: str
    data: DataStore
    targets: Mapping[str, str]


@dataclass(frozen=True)
class ForeignAccess:
    """Reach the data of a service; see `stack.capabilities.Access`. Nothing is written."""

    project: Foreign
    matched: Matched

    @property
    def target(self) -> Target:
        return "container"

    @property
    def foreign(self) -> bool:
        return True

    @property
    def volumes(self) -> Mapping[str, str]:
        found = {name: self.project.store(self.matched.service, each) for name, each in self.matched.targets.items()}
        # A server has its data where its image says; only its version is read from the name.
        return {name: store or self.matched.service for name, store in found.items()}

    def session(self, serve: Serve) -> AbstractContextManager[Session]:
        return self.project.session(self.matched.service, serve)

    @contextlib.contextmanager
    def offline(self, serve: Serve) -> Iterator[Session]:
        with self.session(serve) as session:
            yield session

    def read(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        return self.project.read(self.matched.service, self.matched.targets[volume])

    def write(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        raise StackError("bug", f"{self.matched.service} is another project's: it is only read", "report this")

    def free_space(self) -> int | None:
        return None


def match(opened: Opened, project: Foreign, services: Mapping[str, str]) -> tuple[list[Matched], list[str]]:
    """Find the data of an instance in a project, by `services`: those of it, by the names that components have here.

    Returns what has its data there, and the names of what has none.
    """
    stack = whole(opened).instance.stack
    found: list[Matched] = []
    missing: list[str] = []
    for name, data in data_stores(opened).items():
        volumes = _volumes(stack, name)
        users = [name] if name in stack.names else writers(stack, [name])
        service = next((services[each] for each in users if each in services), None)
        targets = {volume.id.name: volume.target for volume in volumes}
        served = data.identity()
        if service is None or not (served or all(project.store(service, each) for each in targets.values())):
            missing.append(name)
        else:
            found.append(Matched(name, service, data, targets))
    return found, missing


def _volumes(stack: Stack, name: str) -> list[Volume]:
    """Return the volumes of a component, or the shared one of that name, once."""
    every = [volume for each in stack.names for volume in stack.own_workload(each, "container").volumes]
    return list({volume.id: volume for volume in every if volume.id.component == name}.values())


def save_foreign(
    opened: Opened, project: Foreign, matched: list[Matched], snapshots: SnapshotStore, name: str, progress: Progress
) -> tuple[Path, Manifest]:
    """Save the data of a project as a snapshot of this name. Raises what saving data raises."""
    path = snapshots.path(name)
    if path.exists():
        raise StackError("snapshot-exists", f"{path} is there already", f"`stackctl snapshot delete {name}`")
    snapshots.prepare()
    with Writer(path) as archive:
        components = {}
        for each in matched:
            progress.step(f"{each.name}: reading the data of {each.service} of {project.name}")
            components[each.name] = each.data.save(ForeignAccess(project, each), archive, progress)
        manifest = Manifest(
            name=name, reason="adopt", made=datetime.now(UTC), stackctl=__version__,
            stack=opened.instance.stack.name, instance=project.name, engine=opened.engine.name, components=components,
            ports={}, declaration={}, groups={},
        )  # fmt: skip
        taken = archive.finish(manifest)
    progress.step(f"saved as {path.name} ({manifest.holds}, {size(taken)})")
    return path, manifest
