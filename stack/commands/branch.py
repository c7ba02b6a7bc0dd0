"""`stackctl branch`: another instance whose data begins as a copy of that of a running one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stack.errors import StackError, acting_on
from stack.progress import Progress
from stack.record import Record
from stack.report import Report, size
from stack.results.branches import BranchResult
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.workflow.beginning import branched, require_parent, require_same_place
from stack.workflow.branching import Copied, copying, inherited
from stack.workflow.confirming import Confirm
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.keeping import backup_notice, save, with_data
from stack.workflow.opened import Opened
from stack.workflow.opening import change, look
from stack.workflow.ports import registered
from stack.workflow.replacing import fill_new_stores, quiesced, remove_new_stores, switch_data


def branch(settings: Settings, name: str, progress: Progress, timeout: float = 120) -> Report[BranchResult]:
    """Make another instance of the same stack, with a copy of the data of the one that the settings name."""
    parent = look(settings)
    with branched(replace(settings, instance=name), settings, progress) as (new, copied), acting_on(name):
        report = converge(new, Journal(new.state), progress, UpOptions(timeout))
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
        require_parent(parent, name)
        require_same_place(opened, parent)
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
    with acting_on(opened.instance.name):
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
    file = Path(record.parent_file)
    return replace(settings, file=file, instance=state.name, state_root=state.parent, engine=None, host=None)


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
    return replace(report.headed(command, "\n  ".join(told), data), instance=up.instance)
