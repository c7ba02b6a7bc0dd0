"""`stackctl render` and `env`: how the engine sees the instance."""

from __future__ import annotations

import shlex

from stack.observed import Observed
from stack.operations.opening import compose_unseen, look
from stack.operations.ports import preview
from stack.report import Report
from stack.settings import Settings


def render(settings: Settings) -> Report:
    """The configuration that `up` would hand to the engine."""
    # No engine has to run for it.
    opened = preview(look(settings, choose=compose_unseen), settings, lambda: Observed({}))
    text = opened.engine.render()
    return Report("render", text.rstrip("\n"), {"engine": opened.engine.name, "configuration": text}, verbatim=True)


def env(settings: Settings) -> Report:
    """Variables for a shell, with which the engine's own tools, like plain `docker compose`, work on the instance."""
    variables = dict(look(settings).engine.environment())
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return Report("env", "\n".join(lines), variables, verbatim=True)
