"""Bring back the data of a snapshot: check it, load it into new volumes, compare it, and cut over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from stack.applied import Applied
from stack.capabilities import Access
from stack.errors import StackError
from stack.instance import generation_of
from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.results.stored import RestoreResult
from stack.settings import Settings
from stack.snapshots.archive import Archive, damaged, read_manifest
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.workflow.access import data_owners, data_store, login_of, unsaved
from stack.workflow.confirming import Confirm
from stack.workflow.identities import secret_digests
from stack.workflow.journal import Journal
from stack.workflow.keeping import backup_notice, save, with_data
from stack.workflow.opened import Opened, whole, with_instance
from stack.workflow.ports import registered
from stack.workflow.replacing import Fill, Replacement, kept_stores, quiesced, replace_data, switch_data
from stack.workload import VolumeId


def bring_back(
    settings: Settings,
    opened: Opened,
    progress: Progress,
    confirm: Confirm,
    path: Path,
    command: Literal["restore", "undo"],
    saves: bool,
    accepts: bool,
    timeout: float,
    told: str = "",
) -> Report[RestoreResult]:
    """Replace the data of an instance by that of a snapshot. Hold the lock. `told`: what to say of it instead."""
    manifest = read_manifest(path)
    opened.engine.check()
    check_fits(whole(opened), path, manifest)
    replaced = with_data(opened)
    if replaced and not confirm(_announcement(opened, replaced, manifest, saves)):
        raise StackError("cancelled", "nothing was changed", "answer y, or say --yes")
    with open_archive(path) as archive:
        progress.step(f"{path.name}: checking that it is whole")
        archive.verify()
        with registered(opened, settings) as ready:
            before = partial(_save_first, settings, ready, command, progress) if replaced and saves else _nothing
            report = _replace(ready, Journal(ready.state), archive, before, accepts, progress, timeout)
    name = "undo" if command == "undo" else "snapshot restore"
    text = told or f"{opened.instance.name} has the data of {manifest.name} again ({manifest.holds})"
    data = RestoreResult(opened.instance.name, manifest.name, manifest.rows, report.data)
    return report.headed(name, text, data)


def _replace(
    opened: Opened,
    journal: Journal,
    archive: Archive,
    before: Callable[[], Manifest | None],
    accepts: bool,
    progress: Progress,
    timeout: float,
) -> Report[UpResult]:
    manifest, every = archive.manifest, whole(opened)
    if (kept := _with_kept_stores(every, journal.applied, manifest)) is not None:
        with quiesced(opened, journal, progress):
            keeps = before()
        return switch_data(opened, kept, journal, manifest.components, keeps, progress, timeout, made_now=False)

    fill = {name: loading(every, archive, name, accepts, progress) for name in manifest.components}
    return replace_data(opened, journal, Replacement(fill, before, manifest.size), progress, timeout)


def loading(opened: Opened, archive: Archive, name: str, accepts: bool, progress: Progress) -> Fill:
    """Return what fills a server with the component `name` of a snapshot; its user has the instance's password then.

    `accepts`: also without what this server can't have.
    """

    saved, stack = archive.manifest.components[name], opened.instance.stack
    data, login = data_store(stack, name), login_of(stack, name)
    assert data is not None  # noqa: S101 - it was found to fit

    def load(access: Access) -> None:
        password = opened.state.secret(login.secret.id).reveal() if login else ""
        data.load(access, archive, saved, password, accepts, progress)

    return load


def runs_here(opened: Opened, manifest: Manifest) -> bool:
    """Say whether the declared versions can take the data."""
    opened = whole(opened)
    stack = opened.instance.stack
    return all(
        (data := data_store(stack, name)) is not None and not data.misfit(saved, _version(opened, name))
        for name, saved in manifest.components.items()
        if name in data_owners(stack)
    )


def _version(opened: Opened, name: str) -> int | None:
    """Return the major version that serves the data under a name, or would; a shared volume is served by nothing."""
    return opened.engine.version(name) if name in opened.instance.stack.names else None


def _with_kept_stores(opened: Opened, applied: Applied, manifest: Manifest) -> Opened | None:
    """Return the instance on the stores that were left as they were for `undo`, if these can be served as they are."""
    there, generations = kept_stores(opened, applied), dict(opened.instance.generations)
    secrets, stack = secret_digests(opened), opened.instance.stack
    for name, saved in manifest.components.items():
        data, login = data_store(stack, name), login_of(stack, name)
        if data is None or (_version(opened, name) or 0) != data.major(saved):
            return None
        password = secrets.get(login.secret.id) if login else ""
        as_saved = {"made": manifest.made.isoformat(), "password": password}
        if any(there.get(store) != as_saved for store in saved.volumes.values()):
            return None
        generations |= {VolumeId.of(name, each): generation_of(store) for each, store in saved.volumes.items()}
    return with_instance(opened, replace(opened.instance, generations=generations))


def _save_first(
    settings: Settings, opened: Opened, command: Literal["restore", "undo"], progress: Progress
) -> Manifest:
    _, manifest = save(opened, SnapshotStore(settings.state_root, opened.instance.name), None, command, progress)
    return manifest


def _nothing() -> None:
    """Save nothing of what is there."""


def check_fits(opened: Opened, path: Path, manifest: Manifest) -> None:
    """Raise `snapshot-differs` for data that would not be that of the declared components, and `snapshot-damaged`."""
    stack = opened.instance.stack
    for name, saved in manifest.components.items():
        if name in unsaved(stack):
            problem = f"it holds the files of {name}, which is declared with backup=False: what {name} has now would "
            raise _differs(
                path, f"{problem}be replaced and not saved", f'declare Volume("{name}") without backup=False'
            )
        data = data_store(stack, name)
        if data is None:
            raise _differs(path, f"it holds the data of {name}, and no database of this name is declared", "declare it")
        try:
            misfit = data.misfit(saved, _version(opened, name))
        except ValueError as error:
            raise damaged(path, str(error)) from error
        if misfit is not None:
            raise _differs(path, *misfit)


def _differs(path: Path, problem: str, hint: str) -> StackError:
    return StackError("snapshot-differs", f"{path.name} does not fit: {problem}; nothing was touched", hint)


def _announcement(opened: Opened, replaced: Collection[str], manifest: Manifest, saves: bool) -> str:
    names = ", ".join(replaced)
    stays = "".join(f" {each} stays as it is: backup=False." for each in unsaved(opened.instance.stack.whole))
    return (
        f"This replaces the data of {names} in {opened.instance.name!r} by that of {manifest.name} "
        f"({manifest.holds}, {manifest.made.astimezone():%Y-%m-%d %H:%M}); {backup_notice(saves)}.{stays}"
    )
