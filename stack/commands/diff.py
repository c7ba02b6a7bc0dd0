"""`stackctl diff`: how the data and the schema of two instances or snapshots differ. It changes neither."""

from __future__ import annotations

from stack.differing import Wanted
from stack.errors import ExitCode, UsageError
from stack.progress import Progress
from stack.report import Report
from stack.results.differences import ComponentDifference, DiffResult
from stack.settings import Settings
from stack.workflow.diff_text import diff_lines
from stack.workflow.sides import Opening, find_named, opened_side


def diff(
    settings: Settings,
    progress: Progress,
    before: str,
    after: str | None,
    wanted: Wanted,
    exit_code: bool = False,
) -> Report[DiffResult]:
    """Compare the data of `before` with that of `after`, or of the instance of the settings.

    With `exit_code` it ends with 3 if they differ.
    """
    one, other = find_named(settings, before), find_named(settings, after)
    if one == other:
        raise UsageError(f"diff: both are the {one.shown}", "name two, or one to compare this instance with")
    with (
        opened_side(settings, one, 1, progress) as first,
        opened_side(settings, other, 2, progress) as second,
    ):
        names = sorted(first.names | second.names)
        components = {name: _compare(first, second, name, wanted, progress) for name in names}
    told = {name: each for name, each in components.items() if each.differs or each.notices}
    same = not any(each.differs for each in told.values())
    data = DiffResult(one.shown, other.shown, same, told)
    ends = ExitCode.CHANGES if exit_code and not same else ExitCode.DONE
    return Report.drawn("diff", lambda style: "\n".join(diff_lines(data, style)), data, int(ends))


def _compare(before: Opening, after: Opening, name: str, wanted: Wanted, progress: Progress) -> ComponentDifference:
    if name not in before.names or name not in after.names:
        return ComponentDifference("before" if name in before.names else "after")
    one, other = before.differ(name), after.differ(name)
    if one is None or other is None:
        return ComponentDifference(notices=("it is declared otherwise now, and was not compared",))
    progress.step(f"{name}: comparing")
    return one.compare(before.side(name, one), after.side(name, other), wanted, progress)
