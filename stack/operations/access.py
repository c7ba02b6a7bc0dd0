"""`stackctl exec` and `logs`: a component's own commands and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stack.operations.opening import find_component, look, require_running, require_up
from stack.report import Report
from stack.settings import Settings


def execute(settings: Settings, service: str, command: Sequence[str], capture: bool) -> Report:
    """Run a command in a running component; the report carries its exit code.

    On this process's own streams, or with `capture` into the report.
    """
    opened = look(settings)
    find_component(opened.instance, service)
    require_running(opened.instance, opened.engine.observe(), service)
    if not capture:
        return Report("exec", "", exit_code=opened.engine.attach(service, command))
    answer = opened.engine.run(service, command, limit=None)
    data = {"exit_code": answer.exit_code, "stdout": answer.stdout, "stderr": answer.stderr}
    return Report("exec", answer.stdout, data, exit_code=answer.exit_code, verbatim=True)


def logs(
    settings: Settings, service: str | None, tail: int | None, follow: Callable[[str], None] | None = None
) -> Report:
    """Give the lines of one component, or of all with their names in front; hand them to `follow` as they come."""
    opened = look(settings)
    if service is not None:
        find_component(opened.instance, service)
    require_up(opened.instance, opened.engine.observe())
    if follow is not None:
        return Report("logs", "", exit_code=opened.engine.follow_logs(service, tail, follow))
    lines = opened.engine.log_lines(service, tail)
    return Report("logs", "\n".join(lines), {"lines": list(lines)}, verbatim=True)
