"""`stackctl plan`: what `up` would do, and to what. It changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack.encoding import extended
from stack.errors import ExitCode
from stack.pins import LOCK_FILE
from stack.report import Report
from stack.results.plans import PlanResult
from stack.settings import Settings
from stack.style import DIM, Style
from stack.workflow.asked import AS_THEY_ARE, Switches
from stack.workflow.externals import external_lines
from stack.workflow.losses import loss_lines
from stack.workflow.opening import look, with_parameters
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
) -> Report[PlanResult]:
    """Compare the declaration with what exists. With `exit_code` it ends with 3 if something would change.

    `groups`: as if `up` turned these on and off. `names`: as if `up` named these components. With `strict` it ends with
    3 if the engine does not do all that is declared.
    """
    opened = preview(with_parameters(look(settings, groups=groups), settings), settings)
    part = with_needed(opened.instance, names) if names else EVERYTHING
    context = compute_plan(opened, opened.state.applied(), contents=True, part=part)
    notices = (*opened.losses, *opened.plan_notices, *map(_moved, context.observed.moved))
    externals = external_lines(opened)
    data = extended(PlanResult, planned_changes(context), notices=notices, externals=externals)
    if output is not None:
        save_plan(output, data)
    would_change = exit_code and (context.plan.something or context.blocker is not None)
    ends = ExitCode.CHANGES if would_change or (strict and opened.losses) else ExitCode.DONE

    def text(style: Style) -> str:
        lost = loss_lines(opened, style)
        notes = [style.wrapped(notice, "note: ", "    ") for notice in notices[len(lost) :]]
        kept = [style.paint(style.wrapped(f"{name}: {what}", "= ", "    "), DIM) for name, what in externals.items()]
        return "\n".join([*lost, *kept, *plan_lines(context, style), *(["", *notes] if notes else [])])

    return Report.drawn("plan", text, data, int(ends))


def _moved(image: str) -> str:
    return f"{image} is another version here than {LOCK_FILE} has, which is used; `stackctl update` pins the newest"
