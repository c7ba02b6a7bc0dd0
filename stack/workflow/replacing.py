"""Replace the data of an instance: fill new volumes beside those in use, and switch to them at one point in time.

A kill or a failure before the switch leaves the instance as it was; after it the new data is its data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from stack.applied import Applied
from stack.errors import StackError
from stack.fields import Fields
from stack.frozen import dataclass
from stack.observed import ComponentState
from stack.progress import Progress
from stack.report import Report, size
from stack.results.lifecycle import UpResult
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.verdict.watch import await_well
from stack.workflow.access import DataAccess, data_owners
from stack.workflow.converge import UpOptions, converge
from stack.workflow.identities import identities, secret_digests
from stack.workflow.journal import Journal
from stack.workflow.keeping import as_made, data_stores
from stack.workflow.opened import Opened, whole, with_instance
from stack.workload import VolumeId

_STARTED_WITHIN = 60.0

Fill = Callable[[DataAccess], None]
"""Puts data into volumes that are new."""


@dataclass(frozen=True)
class Replacement:
    """What is to be put in place of what. `fill` by the name of the database.

    `before`: called once nothing writes any more, and before the switch to the new data; returns the snapshot of what
    was there, if one is made. `needs`: the bytes that the new data may take.
    """

    fill: Mapping[str, Fill]
    before: Callable[[], Manifest | None]
    needs: int


def replace_data(
    opened: Opened, journal: Journal, wanted: Replacement, progress: Progress, timeout: float
) -> Report[UpResult]:
    """Fill new stores, stop what writes, switch to the new stores, and bring everything up on them.

    Hold the lock. Returns the report of `up`. Raises `disk-full` before anything is done.
    """
    require_room(opened, wanted.needs)
    new = fill_new_stores(opened, journal, wanted.fill, progress)
    try:
        with quiesced(opened, journal, progress):
            keeps = wanted.before()
    except BaseException:
        remove_new_stores(new, wanted.fill)
        raise
    return switch_data(opened, new, journal, wanted.fill, keeps, progress, timeout)


def fill_new_stores(opened: Opened, journal: Journal, fill: Mapping[str, Fill], progress: Progress) -> Opened:
    """Return the same instance with databases in new stores, filled. If that fails nothing of it remains."""
    for secret in opened.instance.stack.whole.secrets("container"):
        opened.state.provide_secret(secret.id)
    # Also what a killed command left, for nothing uses it.
    _remove_spare_stores(opened, journal.applied)
    new = _with_new_stores(whole(opened), fill)
    try:
        for name in data_owners(new.instance.stack):
            if name in fill:
                progress.step(f"{name}: making a new data store beside the one in use")
                fill[name](DataAccess(new.engine, name))
    except BaseException:
        remove_new_stores(new, fill)
        raise
    return new


def switch_data(
    opened: Opened,
    new: Opened,
    journal: Journal,
    names: Collection[str],
    keeps: Manifest | None,
    progress: Progress,
    timeout: float,
    made_now: bool = True,
    inherits: Callable[[Applied], Applied] | None = None,
) -> Report[UpResult]:
    """Switch the instance to the stores of `new`, and bring it up on them. Nothing may write any more.

    `keeps`: the snapshot of what was there, if that is kept beside it; else it is deleted. `made_now`: they were made
    for this, and not by an earlier stackctl. `inherits`: adds what is known of the data that they are a copy of.
    """
    before, now = (whole(each).engine.volumes.declared() for each in (opened, new))
    if opened.engine.observe().exists:
        journal.save(journal.applied.wanting("stopped"))
        opened.engine.stop()
    new.state.remember(new.record)
    secrets, data = secret_digests(new), journal.applied.data
    taken = {name: each for name, each in identities(new, secrets).items() if name in names}
    retired = dict[str, Fields]()
    if keeps is not None:
        made, passwords = keeps.made.isoformat(), {name: data.get(name, {}).get("password", "") for name in names}
        retired = {
            store: {"made": made, "password": passwords[volume.component]}
            for volume, store in before.items()
            if volume.component in names
        }
    applied = journal.applied.switched(names, taken, [*now.values()], retired)
    if made_now:
        databases = [each.name for each in new.instance.stack if each.name in names and each.schema]
        applied = applied.demoted(now[VolumeId.of(name)] for name in databases)
    journal.save(inherits(applied) if inherits else applied)
    progress.step(f"{new.instance.name}: switching to the new data")
    running = replace(new.instance, stack=opened.instance.stack, ports=opened.instance.ports)
    report = converge(with_instance(new, running), journal, progress, UpOptions(timeout))
    _remove_spare_stores(new, journal.applied)
    return report


def _with_new_stores(opened: Opened, names: Collection[str]) -> Opened:
    """Return the same instance with each volume of these components in a revision that does not exist yet."""
    there = set(opened.engine.volumes.existing())
    moved = opened
    for volume in [each for each in opened.engine.volumes.declared() if each.component in names]:
        while moved.engine.volumes.declared()[volume] in there:
            generations = moved.instance.generations
            following = {**generations, volume: generations.get(volume, 1) + 1}
            moved = with_instance(moved, replace(moved.instance, generations=following))
    return moved


def _remove_spare_stores(opened: Opened, applied: Applied) -> None:
    """Delete the stores of declared databases that are in use no more, and that `undo` does not need."""
    opened = whole(opened)
    stores = {*opened.engine.volumes.declared().values(), *kept_stores(opened, applied)}
    firsts = with_instance(opened, replace(opened.instance, generations={})).engine.volumes.declared()
    for store in opened.engine.volumes.existing():
        ours = any(store == first or store.startswith(f"{first}.") for first in firsts.values())
        if ours and store not in stores:
            opened.engine.volumes.remove(store)


def kept_stores(opened: Opened, applied: Applied) -> dict[str, Fields]:
    """Return the stores that are as they were when a snapshot was made: the last for `undo`, and those before an
    upgrade."""
    kept = applied.kept
    if not kept:
        return {}
    automatic = SnapshotStore(opened.state.folder.parent, opened.instance.name).automatic()
    moments = {each.made.isoformat() for place, each in enumerate(automatic) if not place or each.reason == "upgrade"}
    there = opened.engine.volumes.existing()
    return {store: each for store, each in kept.items() if each["made"] in moments and store in there}


def remove_new_stores(new: Opened, names: Collection[str]) -> None:
    """Delete what `fill_new_stores` made."""
    _remove_stores(new, [store for volume, store in new.engine.volumes.declared().items() if volume.component in names])


def _remove_stores(opened: Opened, stores: Sequence[str]) -> None:
    there = set(opened.engine.volumes.existing())
    for store in stores:
        if store in there:
            opened.engine.volumes.remove(store)


@contextlib.contextmanager
def quiesced(opened: Opened, journal: Journal, progress: Progress) -> Iterator[None]:
    """Stop all but the databases: what they would still write would be neither saved nor in what comes next.

    A cache forgets by that what it copied. If the block fails they are started again.
    """
    running = {name for name, state in opened.engine.observe().components.items() if not _at_rest(state)}
    serving = {name for name, data in data_stores(opened).items() if not data.cold}
    stack = opened.instance.stack
    # A database may wait for what keeps a copy of it.
    copies = {name for name in stack.names if stack.own_workload(name, "container").copy_of in serving}
    others = sorted(running.difference(serving, copies))
    if not others:
        yield
        return
    progress.step(f"{', '.join(others)}: stopping, so that nothing writes any more")
    journal.save(journal.applied.wanting("stopped"))
    opened.engine.stop(others)
    try:
        yield
    except BaseException as error:
        progress.step(f"{', '.join(others)}: starting again")
        engine = as_made(opened).engine
        try:
            with engine.start() as job:
                await_well(engine, job, _STARTED_WITHIN, progress)
        except StackError as other:
            raise _both(error, other) from error
        journal.save(journal.applied.wanting("up"))
        raise


def _at_rest(state: ComponentState) -> bool:
    return all(each.state == "exited" for each in state.each)


def _both(first: BaseException, other: StackError) -> BaseException:
    """Return the failure that stopped a command, with the one of starting again what it had stopped."""
    if not isinstance(first, StackError):
        return other
    both = StackError(
        first.code,
        f"{first.message}; then what had been stopped did not start again: {other.message}",
        f"{first.hint}; {other.hint}",
        "\n".join(filter(None, [first.output, other.output])),
    )
    both.exit_code = first.exit_code
    return both


def require_room(opened: Opened, needed: int) -> None:
    """Raise `disk-full` if the engine has less space for volumes."""
    free = opened.engine.volumes.free_space()
    if free is not None and free < needed:
        raise StackError(
            "disk-full",
            f"the data needs up to {size(needed)}, and {size(free)} are free where it is kept; nothing was changed",
            "make room there, and run this again",
        )
