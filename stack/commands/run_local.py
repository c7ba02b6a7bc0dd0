"""`stackctl run --local`: a command as a process of this machine, with the variables of a component."""

from __future__ import annotations

from collections.abc import Sequence

from stack.report import Report
from stack.results.access import ExecResult
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.finding import require_up
from stack.workflow.local import find_app, require_used, run_here
from stack.workflow.opening import look


def run_local(
    settings: Settings, name: str | None, command: Sequence[str], capture: bool
) -> Report[ExecResult | Nothing]:
    """Run a command in this directory and environment; the report carries its exit code.

    On this process's own streams, or with `capture` into the report. Without a name it is the only app.
    """
    opened = look(settings)
    component = find_app(opened, name).name
    observed = opened.engine.observe()
    require_up(opened.instance, observed)
    require_used(opened, observed, component)
    with opened.engine.local(component) as local:
        answer = run_here(component, command, local.variables, capture)
    if not capture:
        return Report("run", "", Nothing(), exit_code=answer.exit_code)
    data = ExecResult(answer.exit_code, answer.stdout, answer.stderr)
    return Report("run", answer.stdout, data, exit_code=answer.exit_code, verbatim=True)
