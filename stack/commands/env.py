"""`stackctl env`: the variables with which the engine's own tools work on an instance."""

from __future__ import annotations

import shlex

from stack.report import Report
from stack.results.access import Variables
from stack.settings import Settings
from stack.workflow.opening import look


def env(settings: Settings) -> Report[Variables]:
    """Variables for a shell, with which the engine's own tools, like plain `docker compose`, work on the instance."""
    variables = dict(look(settings).engine.environment())
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return Report("env", "\n".join(lines), variables, verbatim=True)
