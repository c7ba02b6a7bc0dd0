"""`stackctl logs`: what the components wrote."""

from __future__ import annotations

from collections.abc import Callable

from stack.report import Report
from stack.results.access import LogLines, Nothing
from stack.settings import Settings
from stack.workflow.opening import find_component, look, require_up


def logs(
    settings: Settings, service: str | None, tail: int | None, follow: Callable[[str], None] | None = None
) -> Report[LogLines | Nothing]:
    """Give the lines of one component, or of all with their names in front; hand them to `follow` as they come."""
    opened = look(settings)
    if service is not None:
        find_component(opened.instance, service)
    require_up(opened.instance, opened.engine.observe())
    if follow is not None:
        return Report("logs", "", Nothing(), exit_code=opened.engine.follow_logs(service, tail, follow))
    lines = opened.engine.log_lines(service, tail)
    return Report("logs", "\n".join(lines), LogLines(tuple(lines)), verbatim=True)
