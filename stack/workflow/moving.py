"""Take an instance with its data to another place: stop it, save, load there, compare, switch the record, start there.

Until the record is switched the instance is where it was, and after that where it goes: at one place or at the other,
whenever the command is killed, and nothing runs at both. What is left at the other place is recorded too.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from stack.applied import Applied, Done, Files, short_name
from stack.errors import Interrupted, StackError
from stack.fields import fingerprint
from stack.frozen import dataclass
from stack.observed import Observed
from stack.progress import Progress
from stack.registry import Registry
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.verdict.watch import await_well
from stack.workflow.building import build
from stack.workflow.converge import UpOptions, converge
from stack.workflow.externals import check_externals
from stack.workflow.identities import identities, secret_digests
from stack.workflow.journal import Journal
from stack.workflow.keeping import as_made, save, with_data
from stack.workflow.opened import Opened, whole, with_instance
from stack.workflow.part import EVERYTHING, Part
from stack.workflow.places import delete_elsewhere, here, now, with_elsewhere
from stack.workflow.planning import compute_plan
from stack.workflow.ports import registered
from stack.workflow.replacing import fill_new_stores, remove_new_stores, require_room
from stack.workflow.restoring import check_fits, loading
from stack.workload import VolumeId

_STARTED_WITHIN = 120.0


@dataclass(frozen=True)
class Moved:
    """An instance that is at another place. `downtime`: the seconds from the stop of the first component until it was
    ready there. `manifest`: what was taken along; None if it has no data. `notices`: for people."""

    up: Report[UpResult]
    downtime: float
    manifest: Manifest | None
    notices: tuple[str, ...]


def make_ready(old: Opened, new: Opened, progress: Progress) -> Mapping[str, Files]:
    """Do at another place all that can be done while the instance still runs: fetch and build the images.

    Return the sources of what was built. Raises what keeps it from being up there, as far as that can be seen: also
    what keeps `up` from applying what is declared to its data.
    """
    if (blocker := compute_plan(old, old.state.applied()).blocker) is not None:
        raise blocker
    check_externals(new)
    context = compute_plan(new, Applied())
    progress.step(f"{new.instance.name}: making the images ready on {here(new)}")
    with new.engine.fetch() as job:
        while (exit_code := job.wait(1)) is None:
            pass
        if exit_code:
            raise job.explain()
    return build(new, context, progress)


def rehearse(settings: Settings, old: Opened, new: Opened, accepts: bool, progress: Progress) -> None:
    """Save the databases while they serve, and load and compare them at the other place once.

    What can't be had there, and a disk that is too small, then costs no downtime. The files of volumes are left out:
    what writes to them would have to be stopped.
    """
    if not any(not data.cold for data in with_data(old).values()):
        return
    progress.step(f"{old.instance.name}: trying it with the data as it is now, while it still runs")
    with _temporary(settings, old) as path:
        _, manifest = save(old, _store(settings, old), None, "asked", progress, path, online=True)
        filled = _filled(new, Journal(new.state), path, manifest, accepts, progress)
    remove_new_stores(whole(filled), manifest.components)


def carry_over(
    settings: Settings,
    old: Opened,
    new: Opened,
    sources: Mapping[str, Files],
    progress: Progress,
    accepts: bool,
    timeout: float,
) -> Moved:
    """Stop an instance and bring it up at another place with its data; hold the locks of both.

    If that fails it is up again where it was, and nothing is left at the other place; unless something was written
    there already: then it stays there. `accepts`: also without what can't be had there.
    """
    journal = Journal(old.state)
    before, there = journal.applied, old.engine.observe()
    began = time.monotonic()
    with _temporary(settings, old) as path:
        try:
            _stop(old, journal, there, progress)
            manifest = save(old, _store(settings, old), None, "asked", progress, path)[1] if with_data(old) else None
            filled = _filled(new, journal, path, manifest, accepts, progress)
            applied = _applied_there(old, filled, journal.applied, manifest, sources)
            old.state.save_applied(journal.applied, elsewhere=True)
        except BaseException as error:
            _start_again(old, journal, there, before, error, progress)
            raise _told(error, f"{old.instance.name} is on {here(old)} as it was") from error
        try:
            up = _switch(settings, old, filled, journal, applied, progress, timeout)
        except BaseException as error:
            raise _after_switch(settings, old, filled, journal, there, before, manifest, error, progress) from error
    downtime = time.monotonic() - began
    return Moved(up, downtime, manifest, tuple(_put_down(old)))


def _stop(old: Opened, journal: Journal, there: Observed, progress: Progress) -> None:
    """Stop all, the databases too: then nothing can be written any more that would not be taken along."""
    if not there.exists:
        return
    progress.step(f"{old.instance.name}: stopping on {here(old)}")
    journal.save(journal.applied.wanting("stopped"))
    old.engine.stop()


def _filled(
    new: Opened, journal: Journal, path: Path, manifest: Manifest | None, accepts: bool, progress: Progress
) -> Opened:
    """Return the instance at its new place with the data there, compared."""
    if manifest is None:
        return new
    check_fits(whole(new), path, manifest)
    require_room(new, manifest.size)
    with open_archive(path) as archive:
        every = whole(new)
        fill = {name: loading(every, archive, name, accepts, progress) for name in manifest.components}
        filled = fill_new_stores(new, journal, fill, progress)
    # Groups that are off have data too, and are not to run.
    running = replace(filled.instance, stack=new.instance.stack, ports=new.instance.ports)
    return with_instance(filled, running)


def _switch(
    settings: Settings,
    old: Opened,
    new: Opened,
    journal: Journal,
    applied: Applied,
    progress: Progress,
    timeout: float,
) -> Report[UpResult]:
    """Switch the record, and bring the instance up at its new place, of which `applied` is known."""
    moved = with_elsewhere(new, here(old, now()))
    journal.save(applied)
    progress.step(f"{new.instance.name}: starting on {here(new)}")
    stopped = moved.instance.stopped
    part = Part(frozenset(moved.instance.expected)) if stopped else EVERYTHING
    with registered(moved, settings) as ready:
        report = converge(ready, journal, progress, UpOptions(timeout, part=part))
    if old.instance.project != new.instance.project:
        Registry(settings.registry).remove(old.instance.project)
    return report


def _applied_there(
    old: Opened, new: Opened, applied: Applied, manifest: Manifest | None, sources: Mapping[str, Files]
) -> Applied:
    """Return what is known of the new place: what its data has had is what the data has had that it was made of."""
    if manifest is None:
        return Applied(sources=sources)
    names, stores = manifest.components, whole(new).engine.volumes.declared()
    made = {name: each for name, each in identities(new, secret_digests(new)).items() if name in names}
    return Applied(
        data=made,
        sources=sources,
        migrations=applied.migrations,
        extensions=applied.extensions,
        databases=applied.databases,
        initialising=applied.initialising,
        separated=[short_name(stores[VolumeId.of(name)]) for name in made],
        jobs=_done_there(old, new, applied, stores),
    )


def _done_there(old: Opened, new: Opened, applied: Applied, stores: Mapping[VolumeId, str]) -> dict[str, Done]:
    """Return the jobs that are done: what they did is in the data that was taken along."""
    was, will = old.engine.fields(), new.engine.fields()
    return {
        name: replace(
            done,
            declaration=fingerprint(will[name]),
            stores={volume: short_name(stores[VolumeId(volume)]) for volume in done.stores if volume in stores},
            image="",
        )
        for name, done in applied.jobs.items()
        if name in was and name in will and done.declaration == fingerprint(was[name])
    }


def _start_again(
    old: Opened, journal: Journal, there: Observed, before: Applied, error: BaseException, progress: Progress
) -> None:
    """Start what was stopped, as it was."""
    running = [name for name, state in there.components.items() if state.running]
    if running:
        progress.step(f"{old.instance.name}: starting again on {here(old)}")
        journal.save(before.wanting("stopped"))
        engine = as_made(old).engine
        try:
            with engine.start(running) as job:
                await_well(engine, job, _STARTED_WITHIN, progress, only=running)
        except StackError as other:
            failed = f"{old.instance.name} is on {here(old)} as it was, and did not start again: {other.message}"
            raise _told(error, failed, "`stackctl up` starts it") from error
    journal.save(before)


def _after_switch(
    settings: Settings,
    old: Opened,
    new: Opened,
    journal: Journal,
    there: Observed,
    before: Applied,
    manifest: Manifest | None,
    error: BaseException,
    progress: Progress,
) -> BaseException:
    """Go back to the old place if the data is still the same at the new one; return the failure with where it is now.

    What runs at a place that can't be asked may be written to: then the instance stays there.
    """
    name, was, is_ = old.instance.name, here(old), here(new)
    stays = f"{name} is on {is_} now, with all of its data"
    hint = (
        f"`stackctl up` goes on there, and `stackctl move --back` returns to {was} as it was when it was stopped there"
    )
    progress.step(f"{name}: stopping on {is_}, to look whether anything was written there")
    try:
        new.engine.stop()
        same = manifest is None or _saved(settings, new, progress) == _content(manifest)
    except StackError:
        return _told(error, stays, hint)
    if not same:
        with contextlib.suppress(StackError), new.engine.start() as job:
            while job.wait(1) is None:
                pass
        return _told(error, f"{stays}, which has changed since", hint)
    with_elsewhere(old, here(new))
    with registered(old, settings):
        _start_again(old, journal, there, before, error, progress)
    return _told(error, f"{name} is on {was} as it was")


def _saved(settings: Settings, opened: Opened, progress: Progress) -> Mapping[str, object]:
    with _temporary(settings, opened) as path:
        return _content(save(opened, _store(settings, opened), None, "asked", progress, path)[1])


def _content(manifest: Manifest) -> Mapping[str, object]:
    """Return what tells the data of each component from any other."""
    return {name: frozenset(saved.contents) for name, saved in manifest.components.items()}


def return_to(
    settings: Settings, old: Opened, new: Opened, progress: Progress, timeout: float, stops: bool = True
) -> Moved:
    """Stop an instance and bring it up at the place that it left, with the data of then; hold the locks of both.

    What it is stopped on keeps its data, so that the same leads back. It stays there if that place is not up.
    Without `stops` it is left as it is: it can't be reached.
    """
    journal, began = Journal(old.state), time.monotonic()
    there, here_before = old.state.applied(elsewhere=True), journal.applied
    if stops:
        _stop(old, journal, old.engine.observe(), progress)
    elif (tunnel := old.engine.tunnel) is not None:
        tunnel.close()
    old.state.save_applied(here_before, elsewhere=True)
    moved = with_elsewhere(new, here(old, now()))
    journal.save(there.wanting("down"))
    progress.step(f"{new.instance.name}: starting on {here(new)}")
    try:
        with registered(moved, settings) as ready:
            up = converge(ready, journal, progress, UpOptions(timeout))
    except StackError as error:
        raise _told(
            error,
            f"{new.instance.name} is on {here(new)} again, and not up",
            f"`stackctl up` goes on there, and `stackctl move --back` returns to {here(old)}",
        ) from error
    if old.instance.project != new.instance.project:
        Registry(settings.registry).remove(old.instance.project)
    return Moved(up, time.monotonic() - began, None, tuple(_put_down(old)) if stops else ())


def clean_up(old: Opened, settings: Settings, progress: Progress) -> None:
    """Delete what a move that failed made at the other place, if it can be reached; else the next one does."""
    record = old.state.record()
    if record is not None and record.elsewhere is not None and not record.elsewhere.left:
        with contextlib.suppress(StackError):
            delete_elsewhere(replace(old, record=record), settings, progress)


def _put_down(old: Opened) -> Iterator[str]:
    """Remove all but the data of the old place: nothing can be started there by accident."""
    try:
        old.engine.down()
    except StackError as error:
        yield f"what is on {here(old)} is stopped, and not taken down: {error.message}"


@contextlib.contextmanager
def _temporary(settings: Settings, opened: Opened) -> Iterator[Path]:
    """Give a path for a snapshot that is deleted after the block; after a kill by the next command."""
    snapshots = _store(settings, opened)
    snapshots.prepare()
    path = snapshots.folder / f".move.zip.{secrets.token_hex(4)}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _store(settings: Settings, opened: Opened) -> SnapshotStore:
    return SnapshotStore(settings.state_root, opened.instance.name)


def _told(error: BaseException, left: str, hint: str = "") -> BaseException:
    """Return a failure that says where the instance is."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(left, hint or "run the command again to move it")
    if isinstance(error, StackError):
        return error.hinting("; ".join(filter(None, [left, error.hint, hint])))
    return error
