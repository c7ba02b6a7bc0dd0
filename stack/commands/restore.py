"""`stackctl snapshot restore` and `stackctl undo`: bring back the data of a snapshot."""

from __future__ import annotations

from pathlib import Path

from stack.progress import Progress
from stack.report import Report
from stack.results.stored import RestoreResult
from stack.settings import Settings
from stack.snapshots.store import SnapshotStore
from stack.workflow.confirming import Confirm
from stack.workflow.opening import change
from stack.workflow.restoring import bring_back


def restore(
    settings: Settings,
    progress: Progress,
    confirm: Confirm,
    name: str | None = None,
    file: Path | None = None,
    saves: bool = True,
    accepts: bool = False,
    timeout: float = 120,
) -> Report[RestoreResult]:
    """Replace the data by that of a snapshot, of this instance by its `name` or any other's in a `file`."""
    with change(settings, progress) as opened:
        path = file or SnapshotStore(settings.state_root, opened.instance.name).find(name or "")
        return bring_back(settings, opened, progress, confirm, path, "restore", saves, accepts, timeout)
