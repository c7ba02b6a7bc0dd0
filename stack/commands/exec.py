"""`stackctl exec`: run a command in a component."""

from __future__ import annotations

from collections.abc import Sequence

from stack.report import Report
from stack.results.access import ExecResult
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.finding import find_component, require_running
from stack.workflow.opening import look


def execute(settings: Settings, service: str, command: Sequence[str], capture: bool) -> Report[ExecResult | Nothing]:
    """Run a command in a running component; the report carries its exit code.

    On this process's own streams, or with `capture` into the report.
    """
    opened = look(settings)
    find_component(opened.instance, service)
    state = require_running(opened.instance, opened.engine.observe(), service)
    session = opened.engine.session(service, state)
    if not capture:
        return Report("exec", "", Nothing(), exit_code=session.attach(command))
    answer = session.run(command, timeout=None)
    data = ExecResult(answer.exit_code, answer.stdout, answer.stderr)
    return Report("exec", answer.stdout, data, exit_code=answer.exit_code, verbatim=True)
