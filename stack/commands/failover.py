"""`stackctl failover`: let a standby take the place of its primary, which is kept from ever running again as one.

All data of an instance is on one machine, so all of its primaries move together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stack.engines.base import Machine, Standbys
from stack.engines.process import FinishedJob
from stack.errors import StackError, UsageError
from stack.progress import Progress
from stack.replication import Replication
from stack.report import Report
from stack.results.lifecycle import FailoverResult
from stack.settings import Settings
from stack.style import Style
from stack.verdict.watch import await_well
from stack.workflow.awaiting import await_beside
from stack.workflow.confirming import Confirm
from stack.workflow.finding import find_component
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.standbys import replications


def failover(
    settings: Settings, name: str, progress: Progress, confirm: Confirm, timeout: float = 120
) -> Report[FailoverResult]:
    """Fence the primary `name`, promote its standby, and start it there. `confirm` decides."""
    with change(settings, progress) as opened:
        return take_over(opened, name, progress, confirm, timeout)


def take_over(
    opened: Opened, name: str, progress: Progress, confirm: Confirm, timeout: float
) -> Report[FailoverResult]:
    """Do it with an instance whose lock is held."""
    standbys = _require_standby(opened, name)
    home, spare = standbys.home(), standbys.spare()
    if home is None or spare is None:
        raise StackError(
            "standby-late", f"{name} has no standby on another node yet", "`stackctl up` makes it; nothing was done"
        )
    moving = replications(opened)
    left = _left_behind(opened, moving)
    again = standbys.given_up()
    if not spare.ready:
        raise StackError(
            "standby-late",
            f"the node {spare.name} is down, so what follows {', '.join(moving)} there can't take over",
            "bring it back",
        )
    if not again:
        _check(opened, standbys, moving, home, left)
    if not confirm(_announcement(moving, home, spare, left)):
        raise StackError("cancelled", "nothing was done", "answer y, or say --yes")
    began = time.monotonic()
    progress.step(f"{', '.join(moving)}: given up on {home.name}")
    standbys.fence([*moving])
    if again:
        _start_again(opened, [each.standby for each in moving.values()], timeout)
    for each in moving.values():
        progress.step(f"{each.standby}: taking over")
        each.promote(opened.engine.session(each.standby))
    # What `undo` may need of earlier data is on the other node, or a copy: it takes the snapshot then.
    journal = Journal(opened.state)
    journal.save(replace(journal.applied, kept={}))
    progress.step(f"{', '.join(moving)}: starting on {spare.name}")
    standbys.take_over([*moving], [each.standby for each in moving.values()])
    with FinishedJob() as nothing:
        await_well(opened.engine, nothing, timeout, progress, only=[*moving])
    seconds = time.monotonic() - began
    data = FailoverResult(opened.instance.name, tuple(moving), home.name, spare.name, tuple(left), seconds)
    return Report.drawn("failover", lambda style: _text(data, style), data)


def _require_standby(opened: Opened, name: str) -> Standbys:
    component = find_component(opened.instance, name)
    standbys = opened.engine.standbys
    if component.replication is None or standbys is None:
        beside = len(component.spread) > 1
        engine = opened.engine.name
        raise UsageError(
            f"{name!r} has no standby" + (f", because the {engine} engine runs on one machine" if beside else ""),
            "run the stack with --engine swarm" if beside else "declare Postgres(…, standby=True), and `stackctl up`",
        )
    return standbys


def _left_behind(opened: Opened, moving: Mapping[str, Replication]) -> list[str]:
    """Name what has data on the machine that is given up, and none elsewhere."""
    workloads = {each.name: each.workload("container") for each in opened.instance.stack}
    kept = [name for name, each in workloads.items() if each.volumes and each.copy_of is None]
    return [name for name in kept if name not in moving]


def _start_again(opened: Opened, names: Sequence[str], timeout: float) -> None:
    """Let standbys run that an interrupted failover had stopped. Raises `standby-late`."""
    if not (stopped := _resting(opened, names)):
        return

    def late() -> StackError:
        return StackError(
            "standby-late",
            f"{', '.join(stopped)} did not start within {timeout:g} s",
            f"look at `stackctl logs {stopped[0]}`, and run this again",
        )

    # They may be ending yet.
    opened.engine.stop(stopped)
    with opened.engine.start(stopped) as job:
        await_beside(job, lambda: bool(_resting(opened, stopped)), timeout, late)


def _resting(opened: Opened, names: Sequence[str]) -> list[str]:
    """Name those that do not run."""
    observed = opened.engine.observe()
    states = {name: observed.components.get(name) for name in names}
    return [name for name, state in states.items() if state is None or not state.running]


def _check(
    opened: Opened, standbys: Standbys, moving: Mapping[str, Replication], home: Machine, left: list[str]
) -> None:
    """Raise if a standby can't take over, lacks something, or data that is well would be left behind.

    A failover that was interrupted has found out all that, and nothing has happened to the data since.
    """
    resting = _resting(opened, [each.standby for each in moving.values()])
    for name, each in moving.items():
        if each.standby in resting:
            raise StackError(
                "standby-late",
                f"{each.standby} does not run, so it can't take the place of {name}",
                f"look at `stackctl logs {each.standby}`; bring it back",
            )
        if each.synchronous and not (standbys.holds_all() and each.holds_all(opened.engine.session(each.standby))):
            raise StackError(
                "standby-late",
                f"{each.standby} is not known to have all that {name} has acknowledged",
                f"bring the node {home.name} back, and `stackctl up`; if it is lost, restore a snapshot",
            )
    if home.ready and left:
        raise StackError(
            "data-left-behind",
            f"the node {home.name} is up, and {', '.join(left)} has its data there alone, which would start empty",
            "stop the node first if it is to be given up, and save a snapshot before: `stackctl snapshot save`",
        )


def _announcement(moving: Mapping[str, Replication], home: Machine, spare: Machine, left: list[str]) -> str:
    lines = [f"{', '.join(moving)} will run on {spare.name}, and not on {home.name} any more"]
    if home.ready:
        lines.append(f"  {home.name} is up: they are stopped there first, and nothing is lost")
    behind = [name for name, each in moving.items() if not each.synchronous]
    if behind and not home.ready:
        lines.append(f"  {', '.join(behind)}: its standby is asynchronous, so the last moments may be LOST")
    if left:
        lines.append(f"  {', '.join(left)}: its data was on {home.name} alone, and starts EMPTY on {spare.name}")
    return "\n".join(lines)


def _text(data: FailoverResult, style: Style) -> str:
    names = ", ".join(data.moved)
    lines = [f"{names} runs on {data.to_node} ({style.took(data.seconds)})"]
    if data.left:
        lines.append(
            style.wrapped(
                f"{', '.join(data.left)}: empty on {data.to_node}; what it held is on {data.from_node}, or in a "
                "snapshot: `stackctl snapshot list`, `stackctl snapshot restore NAME`",
                "  ", "    ",
            )
        )  # fmt: skip
    lines.append(f"  nothing follows {names} now: `stackctl up` makes another standby")
    return "\n".join(lines)
