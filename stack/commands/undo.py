"""`stackctl undo`: bring back what the last command that replaced or deleted data saved before."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report
from stack.results.stored import RestoreResult
from stack.settings import Settings
from stack.snapshots.store import SnapshotStore
from stack.workflow.asked import Switches
from stack.workflow.confirming import Confirm
from stack.workflow.opening import change, reopen
from stack.workflow.restoring import bring_back, runs_here


def undo(
    settings: Settings,
    progress: Progress,
    confirm: Confirm,
    saves: bool = True,
    accepts: bool = False,
    timeout: float = 120,
) -> Report[RestoreResult]:
    """Bring back what the last command that replaced or deleted data saved before. Twice is once forth and back."""
    with change(settings, progress) as opened, ExitStack() as held:
        snapshots = SnapshotStore(settings.state_root, opened.instance.name)
        # After an upgrade whose declaration went back, what is older than that may be the newest that can run.
        suits = opened.state.exists() and snapshots.newest_automatic(partial(runs_here, opened))
        newest = suits or snapshots.newest_automatic()
        if newest is None or newest.manifest is None:
            raise StackError(
                "nothing-to-undo",
                f"no command saved data of {opened.instance.name} before it replaced or deleted it",
                "see `stackctl snapshot list`",
            )
        if not opened.state.exists():
            had = newest.manifest
            groups = Switches([group for group in opened.groups if had.groups.get(group)])
            before, settings = opened, replace(settings, host=settings.host or had.host)
            opened = reopen(opened, settings, settings.engine or had.engine, had.ports, groups)
            if before.instance.host is None:
                held.enter_context(opened.engine.locked(progress))
        return bring_back(settings, opened, progress, confirm, newest.path, "undo", saves, accepts, timeout)
