"""Delete an instance with its data, after saying what that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from stack.errors import StackError
from stack.instance import Instance, default_ports
from stack.observed import Resources
from stack.progress import Progress
from stack.registry import Registry
from stack.report import Report
from stack.results.lifecycle import Deletable, NothingToReset, ResetResult
from stack.settings import Settings
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.workflow.branches import branches_of
from stack.workflow.confirming import Confirm
from stack.workflow.externals import external_lines
from stack.workflow.journal import Journal
from stack.workflow.keeping import as_made, make_room, save, unsaved_lines, with_data
from stack.workflow.opened import Opened, whole
from stack.workflow.opening import change
from stack.workflow.places import at, delete_elsewhere
from stack.workflow.replacing import fill_new_stores, quiesced, remove_new_stores, require_room
from stack.workflow.restoring import loading
from stack.workload import PortId


def reset_instance(
    settings: Settings, progress: Progress, confirm: Confirm, saves: bool = True, accepts: bool = False
) -> Report[ResetResult | NothingToReset]:
    """Delete containers, networks, volumes, built images and state. `confirm` decides.

    What its databases hold is saved first, for `stackctl undo`, unless not `saves`; and it is loaded and compared,
    for it is the only copy then. `accepts`: also if `undo` can't bring all of it back.
    """
    with change(settings, progress, deletes_all=not saves, parameters=False) as opened, ExitStack() as locks:
        name = opened.instance.name
        left = opened.engine.resources()
        place = opened.record.elsewhere
        if not left and not opened.state.exists():
            return Report("reset", f"{name}: there is nothing to delete", NothingToReset(name, deleted={}))
        held = with_data(opened)
        saves = saves and bool(held)
        other = at(opened, place) if place else None
        if other is not None and other.instance.project != opened.instance.project:
            locks.enter_context(other.engine.locked(progress))
        elsewhere = other.engine.resources().volumes if other is not None else ()
        branches = branches_of(settings, opened.state.folder)
        if not confirm(_announcement(opened, left, elsewhere, bool(held), saves, branches)):
            raise StackError("cancelled", "nothing was deleted", "answer y, or say --yes, to delete")
        journal = Journal(opened.state)
        saved = _save(settings, opened, journal, accepts, progress) if saves else None
        opened = delete_elsewhere(opened, settings, progress)
        progress.step(f"{name}: deleting")
        journal.try_save(journal.applied.wanting("down"))
        opened.engine.destroy()
        deleted, ports = _deletable(opened, left), _chosen_ports(opened.instance)
        _forget(opened)
        Registry(settings.registry).remove(opened.instance.project)
    text = f"{name} is deleted, its data included"
    text += f"; it was saved, loaded once and compared: `stackctl undo` brings it back ({saved.name})" if saved else ""
    if ports:
        words = " ".join(f"--port {port.typed}={number}" for port, number in ports.items())
        text += f"; `stackctl up` takes the declared port again, and `stackctl up {words}` that of before"
    return Report("reset", text, ResetResult(name, deleted, saved, ports))


def _forget(opened: Opened) -> None:
    try:
        opened.state.delete()
    except StackError as error:
        hint = f"delete {opened.state.folder} when it can be written; nothing else is left of {opened.instance.name}"
        raise error.hinting(hint) from error


def _chosen_ports(instance: Instance) -> dict[PortId, int]:
    """Those that are not as declared: a new `up` does not know them any more."""
    declared = default_ports(instance.stack)
    return {name: port for name, port in instance.ports.items() if port != declared[name]}


def _save(settings: Settings, opened: Opened, journal: Journal, accepts: bool, progress: Progress) -> Path:
    try:
        snapshots = SnapshotStore(settings.state_root, opened.instance.name)
        with quiesced(opened, journal, progress):
            path, manifest = save(opened, snapshots, None, "reset", progress, proven=False)
            try:
                _prove(as_made(whole(opened)), journal, path, manifest, accepts, progress)
            except BaseException:
                path.unlink()
                raise
            make_room(snapshots, manifest.made)
    except StackError as error:
        raise error.hinting(
            f"nothing was deleted; `stackctl reset --no-snapshot` deletes without saving; {error.hint}"
        ) from error
    return path


def _prove(opened: Opened, journal: Journal, path: Path, manifest: Manifest, accepts: bool, progress: Progress) -> None:
    """Load a snapshot beside what it was made of, and remove that again. Raises what `undo` would fail with."""
    progress.step(f"{path.name}: loading it once, to be sure that `undo` can")
    require_room(opened, manifest.size)
    with open_archive(path) as archive:
        fill = {name: loading(opened, archive, name, accepts, progress) for name in manifest.components}
        remove_new_stores(fill_new_stores(opened, journal, fill, progress), fill)


def _announcement(
    opened: Opened, left: Resources, elsewhere: Sequence[str], held: bool, saves: bool, branches: Sequence[str]
) -> str:
    lines = [f"This deletes the instance {opened.instance.name!r} with all of its data:"]
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in _deletable(opened, left).items() if names]
    if elsewhere:
        lines.append(f"  volumes on {opened.record.elsewhere}, of before a move: {', '.join(elsewhere)}")
    if held:
        after = "saved first: `stackctl undo` brings it back" if saves else "NOT saved first: nothing brings it back"
        lines.append(f"Its data is {after}.")
    lines += [f"{line}; nothing brings it back." for line in unsaved_lines(opened)]
    if branches:
        lines.append(f"Its branches stay as they are, each with a whole copy of its data: {', '.join(branches)}.")
    lines += [f"{name} is {what}: its data stays as it is." for name, what in external_lines(opened).items()]
    return "\n".join(lines)


def _deletable(opened: Opened, left: Resources) -> Mapping[Deletable, tuple[str, ...]]:
    """List what there is, by kind."""
    return {
        "volumes": left.volumes,
        "containers": left.containers,
        "networks": left.networks,
        "images": left.images,
        "state": (str(opened.state.folder),) if opened.state.exists() else (),
    }
