"""`stackctl branch list` and `branch delete`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from stack.errors import StackError, acting_on
from stack.progress import Progress
from stack.registry import is_gone
from stack.report import Report, duration, size
from stack.results.branches import BranchList, ListedBranch
from stack.results.lifecycle import NothingToReset, ResetResult
from stack.settings import Settings
from stack.state import State
from stack.style import Column, Style, table
from stack.workflow.branches import Branch, find_branches
from stack.workflow.confirming import Confirm
from stack.workflow.fleet import Member, gather, sizes_of
from stack.workflow.resetting import reset_instance

_COLUMNS = (
    Column("BRANCH", least=8), Column("PARENT", least=8), Column("ENGINE"), Column("STATE"), Column("AGE", right=True),
    Column("DISK", right=True),
)  # fmt: skip


def list_branches(settings: Settings) -> Report[BranchList]:
    """List the branches of the instances of this project."""
    branches = find_branches(settings)
    gathered = gather(replace(settings, instance=None, engine=None), servers=True) if branches else None
    members = {folder: each for each in gathered.members for folder in each.states} if gathered else {}
    sizes = sizes_of(gathered) if gathered else {}
    listed = [_listed(each, members.get(each.state.folder), sizes) for each in branches]
    now = datetime.now(UTC)

    def text(style: Style) -> str:
        rows = [_row(each, now) for each in listed]
        return table(_COLUMNS, rows, style) if rows else "there are no branches; `stackctl branch NAME` makes one"

    return Report.drawn("branch list", text, BranchList(tuple(listed)))


def _listed(branch: Branch, member: Member | None, sizes: dict[tuple[str, str], int]) -> ListedBranch:
    parent, record = branch.parent, branch.record
    if parent is None or record is None:
        return ListedBranch(branch.name, "-", None, True, None, "unfinished", None, None)
    return ListedBranch(
        instance=branch.name,
        parent=parent.name,
        parent_state=parent,
        parent_gone=is_gone(parent),
        engine=record.engine,
        state=member.condition if member else "unknown",
        created=member.created if member else None,
        bytes=sizes.get(member.key) if member else None,
    )


def _row(each: ListedBranch, now: datetime) -> list[str]:
    gone = " (gone)" if each.parent_state is not None and each.parent_gone else ""
    return [
        each.instance,
        f"{each.parent}{gone}",
        each.engine or "-",
        each.state,
        duration((now - each.created).total_seconds()) if each.created else "-",
        size(each.bytes) if each.bytes is not None else "-",
    ]


def delete_branch(
    settings: Settings, name: str, progress: Progress, confirm: Confirm, saves: bool = True, accepts: bool = False
) -> Report[ResetResult | NothingToReset]:
    """Delete a branch with its data, which is saved first for `stackctl undo`, if `saves`. `confirm` decides."""
    state = State(settings.state_root / name)
    record = state.record()
    if not state.unfinished and not (record is not None and record.parent):
        what = "is no branch" if state.exists() else "does not exist"
        raise StackError("branch-unknown", f"{name} {what}", "`stackctl branch list` lists the branches")
    with acting_on(name):
        report = reset_instance(replace(settings, instance=name), progress, confirm, saves, accepts)
    return replace(report, command="branch delete", instance=name)
