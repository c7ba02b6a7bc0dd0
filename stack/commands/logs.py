"""`stackctl logs`: what the components wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stack.report import Report
from stack.results.access import LogLines, Nothing
from stack.settings import Settings
from stack.workflow.opening import find_component, look, require_up


def logs(
    settings: Settings, names: Sequence[str], tail: int | None, follow: Callable[[str], None] | None = None
) -> Report[LogLines | Nothing]:
    """Give the lines of components, or of all if none is named; hand them to `follow` as they come."""
    opened = look(settings)
    for name in names:
        find_component(opened.instance, name)
    require_up(opened.instance, opened.engine.observe())
    if follow is not None:
        return Report("logs", "", Nothing(), exit_code=opened.engine.follow_logs(names, tail, follow))
    lines = opened.engine.log_lines(names, tail)
    return Report("logs", "\n".join(lines), LogLines(tuple(lines)), verbatim=True)
