"""Save the data of an instance as a snapshot: on request, and before anything replaces or deletes it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack.capabilities import DataStore
from stack.errors import StackError
from stack.fields import is_hidden
from stack.model import Stack
from stack.progress import Progress
from stack.report import size
from stack.snapshots.archive import Writer
from stack.snapshots.manifest import Manifest, Reason
from stack.snapshots.store import SnapshotStore, superfluous
from stack.verdict.watch import await_ready
from stack.version import __version__
from stack.workflow.access import DataAccess, data_owners, data_store, unsaved
from stack.workflow.identities import data_version
from stack.workflow.opened import Opened, whole, with_instance

_STARTED_WITHIN = 60.0


def data_stores(opened: Opened) -> dict[str, DataStore]:
    """Return the components and shared volumes that keep data, with how it is saved."""
    stack = whole(opened).instance.stack
    found = {name: data_store(stack, name) for name in data_owners(stack)}
    return {name: data for name, data in found.items() if data is not None}


def with_data(opened: Opened) -> dict[str, DataStore]:
    """Return those of which there is data, also of groups that are off."""
    every = whole(opened)
    there = every.engine.volumes.with_data()
    return {name: data for name, data in data_stores(every).items() if name in there}


def as_made(opened: Opened) -> Opened:
    """Return the same instance with each component of the version that made its data, whatever is declared now."""
    applied = opened.state.applied()
    stack = opened.instance.stack
    versions = {name: data_version(opened, applied, name) for name in with_data(opened) if name in stack.names}
    wrong = {
        name: version
        for name, version in versions.items()
        if version is not None and version != opened.engine.version(name)
    }
    if not wrong:
        return opened
    components = tuple(each.at_major(wrong[each.name]) if each.name in wrong else each for each in stack)
    return with_instance(opened, replace(opened.instance, stack=replace(stack, components=components)))


@contextlib.contextmanager
def at_rest(opened: Opened, names: Collection[str], progress: Progress) -> Iterator[None]:
    """Stop those of the components that run, and start them again after the block."""
    states = opened.engine.observe().components
    running = sorted(name for name in names if name in states and states[name].running)
    if not running:
        yield
        return
    progress.step(f"{', '.join(running)}: stopping while its files are read")
    opened.engine.stop(running)
    try:
        yield
    finally:
        progress.step(f"{', '.join(running)}: starting again")
        stopped = opened.engine.observe()
        with opened.engine.start() as job:
            await_ready(opened.instance, opened.engine, job, stopped, _STARTED_WITHIN, progress)


def unsaved_lines(opened: Opened) -> list[str]:
    """Say, for people, which data that exists no snapshot has."""
    every = whole(opened)
    names = [name for name in unsaved(every.instance.stack) if every.engine.volumes.has_data(name)]
    return [f"{name} is not saved: backup=False" for name in names]


def backup_notice(saves: bool) -> str:
    """Say what becomes of what is replaced, for people."""
    return f"what it holds now is {'saved first: `stackctl undo`' if saves else 'NOT saved'}"


def save(
    opened: Opened,
    snapshots: SnapshotStore,
    name: str | None,
    reason: Reason,
    progress: Progress,
    output: Path | None = None,
    online: bool = False,
    proven: bool = True,
) -> tuple[Path, Manifest]:
    """Make a snapshot of all databases that have data, at `output` or else in the snapshots, where `name` is its name.

    `online`: only of what can run meanwhile. If not `proven`, no older one is deleted for it: the caller does that with
    `make_room`, once it knows that this one can be restored.

    Hold the lock. Raises `snapshot-exists`, `nothing-to-save`, `disk-full`, and what else prevents it.
    """
    now = datetime.now(UTC)
    made = as_made(whole(opened))
    saved = {each: data for each, data in with_data(made).items() if not (online and data.cold)}
    if not saved:
        raise StackError(
            "nothing-to-save", f"{opened.instance.name} has no data to save", "`stackctl up` makes a database"
        )
    named = name or snapshots.free_name(reason, now)
    path = output or snapshots.path(named)
    if path.exists():
        raise StackError("snapshot-exists", f"{path} is there already", "choose another name, or delete that one first")
    if output is None:
        snapshots.prepare()
    cold = writers(made.instance.stack, [each for each, data in saved.items() if data.cold])
    with Writer(path) as archive:
        components = {}
        with at_rest(as_made(opened), cold, progress):
            for each, data in saved.items():
                progress.step(f"{each}: saving its data")
                components[each] = data.save(DataAccess(made.engine, each), archive, progress)
        manifest = Manifest(
            name=named,
            reason=reason,
            made=now,
            stackctl=__version__,
            stack=opened.instance.stack.name,
            instance=opened.instance.name,
            engine=opened.engine.name,
            components=components,
            ports=dict(opened.instance.ports),
            declaration=_declaration(opened),
            groups=opened.groups,
            host=opened.instance.host,
        )
        taken = archive.finish(manifest)
    progress.step(f"saved as {path.name if output is None else path} ({manifest.holds}, {size(taken)})")
    if manifest.automatic and proven:
        make_room(snapshots, now)
    return path, manifest


def writers(stack: Stack, owners: Collection[str]) -> list[str]:
    """Return the components that may write to the volumes of some, which are components or shared volumes."""
    volumes = {each.name: each.workload("container").volumes for each in stack}
    return [name for name, used in volumes.items() if any(each.id.component in owners for each in used)]


def make_room(snapshots: SnapshotStore, now: datetime) -> None:
    """Delete the oldest automatic snapshots; those that a user made are kept."""
    for item in superfluous(snapshots.items(), now):
        item.path.unlink()


def _declaration(opened: Opened) -> dict[str, dict[str, str]]:
    return {
        name: {field: "***" if is_hidden(field) else value for field, value in fields.items()}
        for name, fields in opened.engine.fields().items()
    }
