"""`stackctl branch`: another instance whose data begins as a copy of that of a running one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stack.errors import StackError
from stack.progress import Progress
from stack.record import Record
from stack.registry import Registry
from stack.report import Report, size
from stack.results.branches import BranchResult
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.workflow.asked import Switches
from stack.workflow.branching import Copied, copy_data, copying, inherited, settle_data
from stack.workflow.confirming import Confirm
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.keeping import backup_notice, save, with_data
from stack.workflow.opening import Opened, change, look, with_parameters
from stack.workflow.parameters import find_parameters, inherit_secrets
from stack.workflow.ports import registered
from stack.workflow.replacing import fill_new_stores, quiesced, remove_new_stores, switch_data


def branch(settings: Settings, name: str, progress: Progress, timeout: float = 120) -> Report[BranchResult]:
    """Make another instance of the same stack, with a copy of the data of the one that the settings name."""
    parent = look(settings)
    own = replace(settings, instance=name, engine=parent.engine.name, host=parent.instance.host)
    _check_parent(parent, name)
    groups = Switches(on=parent.record.groups, publish=parent.record.published)
    with change(own, progress, system_binaries=parent.record.system_binaries, parameters=False, groups=groups) as new:
        _check_free(new)
        new.engine.check()
        with _unfinished(new, own):
            inherit_secrets(new.state, parent.state, new.instance.stack)
            new = _inheriting(new, own, parent, settings)
            # What removes it if this is killed finds by it what there is.
            new.state.remember(new.record)
            with registered(new, own) as ready:
                ready.state.remember(ready.record)
                copied = _copied(settings, ready, progress)
                settle_data(ready, copied, progress)
                ready.state.finish()
                report = converge(ready, Journal(ready.state), progress, UpOptions(timeout))
    return _report("branch", f"{name} is a branch of {parent.instance.name}", parent, copied, report)


def reset_branch(
    settings: Settings, name: str, progress: Progress, confirm: Confirm, saves: bool = True, timeout: float = 120
) -> Report[BranchResult]:
    """Replace the data of a branch by a copy of that of its parent as it is now. `confirm` decides."""
    own = replace(settings, instance=name)
    with change(own, progress) as opened:
        theirs = parent_settings(settings, require_branch(opened))
        opened.engine.check()
        parent = look(theirs)
        _check_parent(parent, name)
        replaced = with_data(opened)
        told = (
            f"This replaces the data of {', '.join(replaced)} in {name!r} by that of {parent.instance.name!r} as it is"
        )
        if replaced and not confirm(f"{told} now; {backup_notice(saves)}."):
            raise StackError("cancelled", "nothing was changed", "answer y, or say --yes")
        with registered(opened, own) as ready:
            copied, report = _begin_again(ready, own, theirs, saves and bool(replaced), progress, timeout)
    told = f"{name} has the data of {parent.instance.name} again, as it is now"
    return _report("branch reset", told, parent, copied, report)


def _begin_again(
    opened: Opened, own: Settings, theirs: Settings, saves: bool, progress: Progress, timeout: float
) -> tuple[Copied, Report[UpResult]]:
    copied, journal = Copied(), Journal(opened.state)
    with change(theirs, progress, parameters=False) as source:
        fill = copying(source, opened, copied, progress)
        new = fill_new_stores(opened, journal, fill, progress)
        applied = source.state.applied()
    try:
        with quiesced(opened, journal, progress):
            keeps = _saved(own, opened, progress) if saves else None
    except BaseException:
        remove_new_stores(new, fill)
        raise
    report = switch_data(
        opened, new, journal, fill, keeps, progress, timeout,
        inherits=lambda before: inherited(before, new, applied, source, copied.names),
    )  # fmt: skip
    return copied, report


def _saved(settings: Settings, opened: Opened, progress: Progress) -> Manifest:
    _, manifest = save(opened, SnapshotStore(settings.state_root, opened.instance.name), None, "branch", progress)
    return manifest


def require_branch(opened: Opened) -> Record:
    """Return the record of a branch. Raises `branch-unknown` for an instance that is none, or not there."""
    if not opened.record.parent:
        name = opened.instance.name
        what = "is no branch" if opened.state.exists() else "does not exist"
        raise StackError("branch-unknown", f"{name} {what}", "`stackctl branch list` lists the branches")
    return opened.record


def parent_settings(settings: Settings, record: Record) -> Settings:
    """Return the settings with which the parent of a branch is opened."""
    state = Path(record.parent)
    return replace(
        settings, file=Path(record.parent_file), instance=state.name, state_root=state.parent, engine=None, host=None
    )


def _check_parent(parent: Opened, name: str) -> None:
    """Raise what keeps an instance from having a branch of that name."""
    own = parent.instance.name
    if own == name:
        raise StackError("branch-exists", f"{name} is the instance itself", "give the branch another name")
    if not parent.state.exists():
        raise StackError(
            "instance-down", f"{own} does not exist, so there is nothing to copy", "run `stackctl up` first"
        )


def _check_free(new: Opened) -> None:
    """Raise `branch-exists` if there is an instance of that name, or what is left of one."""
    name = new.instance.name
    if new.state.exists():
        hint = f"choose another name, or `stackctl branch delete {name}` first"
        if not new.record.parent:
            hint = f"choose another name, or `stackctl --instance {name} reset` first"
        raise StackError("branch-exists", f"there is an instance {name} already; nothing was changed", hint)
    if left := new.engine.volumes.existing():
        raise StackError(
            "branch-exists",
            f"there is data of an instance {name} whose state is lost: {', '.join(left)}; nothing was changed",
            f"choose another name; or if none of it is needed, `stackctl --instance {name} reset` first",
        )


@contextmanager
def _unfinished(new: Opened, settings: Settings) -> Iterator[None]:
    """Mark a branch as unfinished, and leave nothing of it if the block fails before it is finished."""
    new.state.begin()
    try:
        yield
    except BaseException:
        if new.state.unfinished:
            new.engine.destroy()
            new.state.delete()
            Registry(settings.registry).remove(new.instance.project)
        raise


def _inheriting(new: Opened, own: Settings, parent: Opened, settings: Settings) -> Opened:
    """Return a branch with the parameters of its parent, and a record that names that."""
    found = find_parameters(own, new.instance.stack, new.state, parent.record.parameters)
    record = replace(
        new.record,
        parameters=parent.record.parameters,
        parent=str(parent.state.folder),
        parent_file=str(settings.file),
    )
    return with_parameters(replace(new, record=record, parameters=found), own)


def _copied(settings: Settings, new: Opened, progress: Progress) -> Copied:
    """Copy the data of the parent, with its lock, and record what is known of it."""
    for secret in (
        *new.instance.stack.whole.secrets("container"),
        *new.instance.stack.secrets(new.engine.traits.target),
    ):
        new.state.provide_secret(secret.id)
    with change(settings, progress, parameters=False) as source:
        copied = copy_data(source, new, progress)
        applied = source.state.applied()
    journal = Journal(new.state)
    journal.save(inherited(journal.applied, new, applied, source, copied.names))
    return copied


def _report(command: str, head: str, parent: Opened, copied: Copied, report: Report[UpResult]) -> Report[BranchResult]:
    how = "cloned" if copied.cloned else "copied"
    told = [f"{head} ({size(copied.bytes)} {how} in {copied.seconds:.1f} s)", *copied.differs]
    up = report.data
    data = BranchResult(
        instance=up.instance,
        parent=parent.instance.name,
        engine=up.engine,
        urls=up.urls,
        cloned=copied.cloned,
        bytes=copied.bytes,
        seconds=copied.seconds,
        differs=tuple(copied.differs),
        up=up,
    )
    return report.headed(command, "\n  ".join(told), data)
