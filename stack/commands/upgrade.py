"""`stackctl upgrade`: take the data of a database along to the major version that is declared now.

The old server writes a snapshot, the new one loads it into a new store, what came out is compared, and only then the
instance switches to the new store. The old one stays as it was, for `undo`.
"""

from __future__ import annotations

from stack.errors import StackError, UsageError
from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.results.stored import NothingToUpgrade, UpgradeResult
from stack.settings import Settings
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.store import SnapshotStore
from stack.workflow.finding import find_component
from stack.workflow.identities import data_version
from stack.workflow.journal import Journal
from stack.workflow.keeping import make_room, save
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.ports import registered
from stack.workflow.replacing import fill_new_stores, quiesced, require_room, switch_data
from stack.workflow.restoring import loading


def upgrade(
    settings: Settings,
    name: str,
    version: int,
    progress: Progress,
    keeps: bool = True,
    accepts: bool = False,
    timeout: float = 120,
) -> Report[UpgradeResult | NothingToUpgrade]:
    """Bring the data of the database `name` to `version`, which has to be declared. Without `keeps` no `undo` is left.

    `accepts`: also without what the new version can't have.

    Raises `data-version` for data of a newer version, and what a snapshot and its restoring raise.
    """
    with change(settings, progress) as opened:
        product = _checked(opened, name, version)
        opened.engine.check()
        journal = Journal(opened.state)
        made = data_version(opened, journal.applied, name)
        if made is None or not opened.engine.volumes.has_data(name):
            raise StackError("nothing-to-save", f"there is no data of {name} yet", "`stackctl up` makes it")
        if made == version:
            text = f"the data of {name} is of {product} {version} already"
            return Report("upgrade", text, NothingToUpgrade(name, made, version))
        if made > version:
            raise StackError(
                "data-version",
                f"the data of {name} is of {product} {made}, and goes to a newer version only, not to {version}",
                f"declare version={made}; or bring back what was before an upgrade with `stackctl undo`",
            )
        with registered(opened, settings) as ready:
            snapshots = SnapshotStore(settings.state_root, opened.instance.name)
            report = _upgrade(ready, journal, snapshots, name, keeps, accepts, progress, timeout)
    after = "its old data is kept for `stackctl undo`" if keeps else "its old data is NOT kept"
    text = f"{name} is on {product} {version}, and was on {made}; {after}"
    data = UpgradeResult(name, made, version, changed=True, up=report.data)
    return report.headed("upgrade", text, data)


def _checked(opened: Opened, name: str, version: int) -> str:
    """What serves the data, for people. Raises `UsageError` for what has no versions, or another one declared."""
    component, declared = find_component(opened.instance, name), opened.engine.version(name)
    if component.data is None or declared is None:
        raise UsageError(f"{name!r} is a {component.role}, which has no data to upgrade", "name a database")
    product = component.data.product
    if version != declared:
        raise UsageError(
            f"{name} is declared to run {product} {declared}, and not {version}",
            f"declare it first: {type(component).__name__}({name!r}, version={version})",
        )
    return product


def _upgrade(
    opened: Opened,
    journal: Journal,
    snapshots: SnapshotStore,
    name: str,
    keeps: bool,
    accepts: bool,
    progress: Progress,
    timeout: float,
) -> Report[UpResult]:
    with quiesced(opened, journal, progress):
        path, manifest = save(opened, snapshots, None, "upgrade", progress, proven=False)
        try:
            require_room(opened, manifest.size)
            with open_archive(path) as archive:
                fill = {name: loading(opened, archive, name, accepts, progress)}
                new = fill_new_stores(opened, journal, fill, progress)
            if keeps:
                make_room(snapshots, manifest.made)
        except BaseException:
            path.unlink()
            raise
    report = switch_data(opened, new, journal, fill, manifest if keeps else None, progress, timeout)
    if not keeps:
        path.unlink()
    return report
