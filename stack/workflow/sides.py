"""Open what is compared: an instance as it is, or a snapshot, loaded into an instance of its own where that is needed.

A snapshot is loaded beside everything: neither an instance nor its volumes are touched for it. What a command that
was killed has left of that, the next one removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from stack.differing import Differ, Side, Stored
from stack.errors import UsageError
from stack.frozen import dataclass
from stack.instance import default_project
from stack.progress import Progress
from stack.results.differences import ComparedSide
from stack.settings import Settings
from stack.snapshots.archive import Archive
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.store import SnapshotStore
from stack.state import State
from stack.workflow.access import DataAccess, differ_of
from stack.workflow.journal import Journal
from stack.workflow.keeping import as_made, with_data
from stack.workflow.opened import Opened, whole, with_instance
from stack.workflow.opening import change, look
from stack.workflow.replacing import fill_new_stores, require_room
from stack.workflow.restoring import check_fits, loading
from stack.workflow.servers import machine

_FILE_ENDING = ".zip"
_KINDS = ("instance", "snapshot")


@dataclass(frozen=True)
class Named:
    """What a user named to be compared. `file`: of a snapshot; None for an instance."""

    shown: ComparedSide
    file: Path | None


@dataclass(frozen=True)
class Opening:
    """One of two that are compared, open to be read. `archive`: of a snapshot."""

    opened: Opened
    names: frozenset[str]
    archive: Archive | None = None

    def side(self, name: str, differ: Differ) -> Side:
        stored = Stored(self.archive, self.archive.manifest.components[name]) if self.archive else None
        return Side(differ, DataAccess(self.opened.engine, name), stored)

    def differ(self, name: str) -> Differ | None:
        return differ_of(self.opened.instance.stack, name)


def find_named(settings: Settings, text: str | None) -> Named:
    """Find what a user means: a file of a snapshot, a snapshot of the instance, or an instance; None is the instance.

    Raises `usage` for what is neither, or both, and `snapshot-unknown`.
    """
    instance = look(settings).instance.name
    if text is None:
        return Named(ComparedSide("instance", instance), None)
    kind, _, name = text.rpartition(":")
    if "/" in text or text.endswith(_FILE_ENDING):
        return Named(ComparedSide("snapshot", text), Path(text))
    snapshots = SnapshotStore(settings.state_root, instance)
    if kind == "snapshot":
        return Named(ComparedSide("snapshot", name), snapshots.find(name))
    snapshot = snapshots.path(name)
    exists = name == instance or State(settings.state_root / name).record() is not None
    if kind == "instance" or (exists and not kind and not snapshot.is_file()):
        if not exists:
            raise UsageError(f"there is no instance {name!r} of this stack", "see `stackctl ls`")
        return Named(ComparedSide("instance", name), None)
    if exists and not kind:
        hint = f"write instance:{name} or snapshot:{name}"
        raise UsageError(f"there is an instance {name!r}, and a snapshot of that name", hint)
    if snapshot.is_file() and not kind:
        return Named(ComparedSide("snapshot", name), snapshot)
    names = ", ".join(item.name for item in snapshots.items()[:5]) or "none"
    raise UsageError(
        f"there is neither an instance nor a snapshot {text!r}; the snapshots of {instance} are: {names}",
        "see `stackctl ls` and `stackctl snapshot list`; a snapshot in a file is named by its path, ./notes.zip",
    )


@contextmanager
def opened_side(settings: Settings, named: Named, number: int, progress: Progress) -> Iterator[Opening]:
    """Open what is compared for the block. `number`: of the copy that a snapshot is loaded into."""
    if named.file is not None:
        with _snapshot(settings, named.file, number, progress) as found:
            yield found
    else:
        with _instance(settings, named.shown.name, progress) as opened:
            yield Opening(opened, frozenset(with_data(opened)))


@contextmanager
def _instance(settings: Settings, name: str, progress: Progress) -> Iterator[Opened]:
    """Open an instance. If a database of it does not run, it is locked: its data is served for the block."""
    asked = settings
    if name != look(settings).instance.name:
        # It stays on the engine and the server that it is on.
        asked = replace(settings, instance=name, engine=None, host=None)
    opened = as_made(whole(look(asked)))
    opened.engine.check()
    states = opened.engine.observe().components
    served = [each for each in with_data(opened) if (found := differ_of(opened.instance.stack, each)) and found.loads]
    if all(each in states and states[each].running for each in served):
        yield opened
        return
    with change(asked, progress, parameters=False) as locked:
        yield as_made(whole(locked))


@contextmanager
def _snapshot(settings: Settings, file: Path, number: int, progress: Progress) -> Iterator[Opening]:
    opened = whole(look(settings))
    with ExitStack() as stack:
        archive = stack.enter_context(open_archive(file))
        check_fits(opened, file, archive.manifest)
        progress.step(f"{file.name}: checking that it is whole")
        archive.verify()
        names = frozenset(archive.manifest.components)
        differs = {name: differ_of(opened.instance.stack, name) for name in names}
        served = [name for name, differ in differs.items() if differ is not None and differ.loads]
        if served:
            opened.engine.check()
            opened = stack.enter_context(_loaded(settings, opened, archive, served, number, progress))
        yield Opening(opened, names, archive)


@contextmanager
def _loaded(
    settings: Settings, opened: Opened, archive: Archive, names: list[str], number: int, progress: Progress
) -> Iterator[Opened]:
    """Load components of a snapshot into an instance that exists for the block alone, and that no user can name."""
    name = f"{opened.instance.name}_diff{number}"
    state = State(settings.state_root / name)
    with state.locked(progress):
        project = default_project(name, state.folder, machine(settings))
        instance = replace(opened.instance, name=name, project=project, state=state.folder, generations={}, ports={})
        record = replace(opened.record, project=project, ports={}, generations={})
        copy = with_instance(replace(opened, state=state, record=record), instance)
        with ExitStack() as stack:
            stack.callback(_remove, copy)
            _remove(copy)
            require_room(copy, archive.manifest.size)
            fill = {each: loading(copy, archive, each, True, progress) for each in names}
            yield fill_new_stores(copy, Journal(state), fill, progress)


def _remove(copy: Opened) -> None:
    copy.engine.destroy()
    copy.state.delete()
