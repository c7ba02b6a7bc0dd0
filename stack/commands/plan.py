"""`stackctl plan`: what `up` would do, and to what. It changes nothing; a rehearsal is on a copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack.encoding import extended
from stack.errors import ExitCode
from stack.pins import LOCK_FILE
from stack.progress import Progress
from stack.report import Report
from stack.results.plans import PlanResult
from stack.results.rehearsals import Rehearsal
from stack.settings import Settings
from stack.style import DIM, Style
from stack.workflow.asked import AS_THEY_ARE, Switches
from stack.workflow.externals import external_lines
from stack.workflow.losses import loss_lines
from stack.workflow.opened import Opened
from stack.workflow.opening import change, look, with_parameters
from stack.workflow.part import EVERYTHING, with_needed
from stack.workflow.plan_result import planned_changes
from stack.workflow.plan_text import plan_lines
from stack.workflow.planning import compute_plan
from stack.workflow.ports import preview
from stack.workflow.saved_plan import save_plan


def plan(
    settings: Settings,
    exit_code: bool = False,
    output: Path | None = None,
    groups: Switches = AS_THEY_ARE,
    names: Sequence[str] = (),
    strict: bool = False,
    rehearsing: Progress | None = None,
) -> Report[PlanResult]:
    """Compare the declaration with what exists. With `exit_code` it ends with 3 if something would change.

    `groups`: as if `up` turned these on and off. `names`: as if `up` named these components. With `strict` it ends with
    3 if the engine does not do all that is declared. With `rehearsing` the pending migrations are applied to a copy of
    the data, and it raises `migration-failed` if one fails there.
    """
    if rehearsing is None:
        return _planned(
            with_parameters(look(settings, groups=groups), settings), settings, exit_code, output, names, strict
        )
    with change(settings, rehearsing, groups=groups) as opened:
        return _planned(opened, settings, exit_code, output, names, strict, rehearsing)


def _planned(
    opened: Opened,
    settings: Settings,
    exit_code: bool,
    output: Path | None,
    names: Sequence[str],
    strict: bool,
    rehearsing: Progress | None = None,
) -> Report[PlanResult]:
    opened = preview(opened, settings)
    part = with_needed(opened.instance, names) if names else EVERYTHING
    context = compute_plan(opened, opened.state.applied(), contents=True, part=part)
    notices = (*opened.losses, *opened.plan_notices, *map(_moved, context.observed.moved))
    externals = external_lines(opened)
    rehearsal = None
    if rehearsing is not None and context.blocker is None:
        # It takes a while to import, and few plans are rehearsed.
        from stack.workflow.rehearsing import rehearse

        rehearsal = rehearse(opened, context, rehearsing)
    data = extended(PlanResult, planned_changes(context), notices=notices, externals=externals, rehearsal=rehearsal)
    if output is not None:
        save_plan(output, data)
    would_change = exit_code and (context.plan.something or context.blocker is not None)
    ends = ExitCode.CHANGES if would_change or (strict and opened.losses) else ExitCode.DONE

    def text(style: Style) -> str:
        lost = loss_lines(opened, style)
        notes = [style.wrapped(notice, "note: ", "    ") for notice in notices[len(lost) :]]
        kept = [style.paint(style.wrapped(f"{name}: {what}", "= ", "    "), DIM) for name, what in externals.items()]
        parts = [[*lost, *kept, *plan_lines(context, style)], _rehearsed(rehearsal, style), notes]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    return Report.drawn("plan", text, data, int(ends))


def _rehearsed(rehearsal: Rehearsal | None, style: Style) -> list[str]:
    if rehearsal is None:
        return []
    from stack.workflow.rehearsing import rehearsal_lines

    return rehearsal_lines(rehearsal, style)


def _moved(image: str) -> str:
    return f"{image} is another version here than {LOCK_FILE} has, which is used; `stackctl update` pins the newest"
