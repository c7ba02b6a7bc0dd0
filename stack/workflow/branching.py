"""Copy the data of an instance that may serve into another one: the branch, which is on the same engine.

The lock of what is copied is held while its files are copied, and no longer. Until its data is whole, a branch is
marked as unfinished, and the next command removes what there is of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from stack.applied import Applied, Done, short_name
from stack.capabilities import DataStore
from stack.copying import FileCopy
from stack.progress import Progress
from stack.workflow.access import DataAccess, data_store, login_of, unsaved
from stack.workflow.identities import secret_digests
from stack.workflow.keeping import as_made, with_data
from stack.workflow.opened import Opened, whole
from stack.workflow.replacing import Fill
from stack.workload import VolumeId

T = TypeVar("T")


@dataclass
class Copied:
    """What was copied: the bytes of all volumes, whether each was cloned, and the seconds that it took.

    `names`: the components and shared volumes. `differs`: what is not as in what was copied, for people.
    """

    names: list[str] = field(default_factory=list)
    bytes: int = 0
    cloned: bool = True
    seconds: float = 0
    differs: list[str] = field(default_factory=list)


def copy_data(source: Opened, branch: Opened, progress: Progress) -> Copied:
    """Copy all data of an instance into new volumes of another one; hold the locks of both.

    Raises `branch-refused`, `branch-failed`, `query-failed` and `disk-full`.
    """
    copied = Copied()
    made, target = as_made(whole(source)), whole(branch)
    for name, data in with_data(made).items():
        if _fits(made, target, name):
            _copy(made, name, data, DataAccess(target.engine, name), copied, progress)
        else:
            copied.differs.append(f"{name} is not copied: it is declared otherwise in {branch.instance.name}")
    copied.differs += _left_out(made)
    return copied


def settle_data(branch: Opened, copied: Copied, progress: Progress) -> None:
    """Make the copies data of the branch's own, before anything uses them; hold its lock. Raises `branch-failed`."""
    made = as_made(whole(branch))
    for name, data in with_data(made).items():
        if name in copied.names:
            _settle(branch, name, data, DataAccess(made.engine, name), copied, progress)


def copying(source: Opened, branch: Opened, copied: Copied, progress: Progress) -> dict[str, Fill]:
    """Return what fills new volumes of a branch with the data of an instance, by component; hold the locks of both.

    What only the branch has data of begins empty.
    """
    made = as_made(whole(source))
    stores = {name: data for name, data in with_data(made).items() if _fits(made, whole(branch), name)}

    def filling(name: str, data: DataStore) -> Fill:
        def fill(access: DataAccess) -> None:
            _copy(made, name, data, access, copied, progress)
            _settle(branch, name, data, access, copied, progress)

        return fill

    def nothing(_: DataAccess) -> None:
        """Leave it to the next `up`."""

    return dict.fromkeys(with_data(branch), nothing) | {name: filling(name, data) for name, data in stores.items()}


def _copy(source: Opened, name: str, data: DataStore, target: DataAccess, copied: Copied, progress: Progress) -> None:
    def opening(volume: str) -> AbstractContextManager[FileCopy]:
        return _counted(target.engine.volumes.copying(source.instance, VolumeId.of(name, volume)), copied)

    began = time.monotonic()
    copied.bytes += data.copy(DataAccess(source.engine, name), opening, progress)
    copied.names.append(name)
    copied.seconds += time.monotonic() - began


@contextlib.contextmanager
def _counted(opened: AbstractContextManager[FileCopy], copied: Copied) -> Iterator[FileCopy]:
    with opened as files:
        yield files
        copied.cloned = copied.cloned and files.clones


def _settle(branch: Opened, name: str, data: DataStore, access: DataAccess, copied: Copied, progress: Progress) -> None:
    login = login_of(whole(branch).instance.stack, name)
    password = branch.state.secret(login.secret.id).reveal() if login else ""
    if login:
        progress.step(f"{name}: giving the copy a password of its own")
    copied.differs += data.settle(access, password)


def _fits(source: Opened, branch: Opened, name: str) -> bool:
    """Say whether a branch, whose declaration may be another one, has the same volumes of a component."""
    theirs, ours = (set(each.engine.volumes.declared()) for each in (source, branch))
    stacks = source.instance.stack, branch.instance.stack
    kinds = {type(data_store(stack, name)) for stack in stacks}
    return len(kinds) == 1 and {each for each in theirs if each.component == name} <= ours


def _left_out(source: Opened) -> list[str]:
    """Say, for people, which data of an instance no branch has."""
    there = source.engine.volumes.with_data()
    return [f"{name} is empty: backup=False" for name in unsaved(source.instance.stack) if name in there]


def inherited(applied: Applied, branch: Opened, parent: Applied, source: Opened, names: Collection[str]) -> Applied:
    """Return what is recorded of a branch, with what is known of the data that it has a copy of: what was done to it.

    `parent`: what is recorded of the instance that was copied.
    """
    secrets = secret_digests(branch)
    there, here = (whole(each).engine.volumes.declared() for each in (source, branch))
    stores = {short_name(there[volume]): short_name(here[volume]) for volume in here if volume in there}
    data = {
        name: {**made, "store": stores[made["store"]], "password": _digest(branch, name, secrets) or made["password"]}
        for name, made in parent.data.items()
        if name in names and made.get("store") in stores
    }
    jobs = {name: _inherited_job(done, stores, secrets) for name, done in parent.jobs.items()}
    return replace(
        applied,
        fields={**applied.fields, **_of(parent.fields, [done.declaration for done in jobs.values()])},
        data={**applied.data, **data},
        migrations={**applied.migrations, **_of(parent.migrations, names)},
        extensions={**applied.extensions, **_of(parent.extensions, names)},
        databases={**applied.databases, **_of(parent.databases, names)},
        initialising=[*{*applied.initialising, *(name for name in parent.initialising if name in names)}],
        jobs={**applied.jobs, **jobs},
    ).demoted(stores[each] for each in parent.separated if each in stores)


def _inherited_job(done: Done, stores: dict[str, str], secrets: dict[str, str]) -> Done:
    """Return a run of a job as one on the copy: what it did to the data is in that, and need not be done again."""
    return replace(
        done,
        secrets={name: secrets.get(name, digest) for name, digest in done.secrets.items()},
        stores={volume: stores.get(store, store) for volume, store in done.stores.items()},
    )


def _digest(branch: Opened, name: str, secrets: dict[str, str]) -> str:
    login = login_of(whole(branch).instance.stack, name)
    return secrets.get(login.secret.id, "") if login else ""


def _of(found: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {name: each for name, each in found.items() if name in names}
