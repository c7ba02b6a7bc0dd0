"""`stackctl env`: variables for the engine's own tools, and those of a component with where each is from."""

from __future__ import annotations

import shlex

from stack.observed import Observed
from stack.report import Report
from stack.results.access import Variables, VariablesResult
from stack.settings import Settings
from stack.style import Column, Style, table
from stack.workflow.choosing import default_unseen
from stack.workflow.finding import find_component
from stack.workflow.opening import look
from stack.workflow.origins import variables_of
from stack.workflow.ports import preview

_COLUMNS = (Column("VARIABLE"), Column("VALUE"), Column("ORIGIN"))


def env(settings: Settings) -> Report[Variables]:
    """Variables for a shell, with which the engine's own tools, like plain `docker compose`, work on the instance."""
    variables = dict(look(settings).engine.environment())
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return Report("env", "\n".join(lines), variables, verbatim=True)


def env_of(settings: Settings, name: str) -> Report[VariablesResult]:
    """List the variables with which the next `up` starts a component, and where each is from."""
    opened = look(settings, choose=default_unseen)
    find_component(opened.instance, name)
    # No engine has to run for it.
    opened = preview(opened, settings, lambda: Observed({}))
    found = variables_of(opened, name)
    rows = [(variable, each.value, each.origin) for variable, each in sorted(found.items())]

    def text(style: Style) -> str:
        return table(_COLUMNS, rows, style) if rows else f"{name} has no variables but those of its image"

    return Report.drawn("env", text, VariablesResult(opened.instance.name, name, found))
