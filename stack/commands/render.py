"""`stackctl render`: the configuration that `up` would hand to the engine."""

from __future__ import annotations

from stack.observed import Observed
from stack.report import Report
from stack.results.access import RenderResult
from stack.settings import Settings
from stack.workflow.choosing import default_unseen
from stack.workflow.opening import look
from stack.workflow.origins import with_each
from stack.workflow.ports import preview


def render(settings: Settings) -> Report[RenderResult]:
    """The configuration that `up` would hand to the engine, with its name in the place of a value that is missing."""
    # No engine has to run for it.
    opened = preview(look(settings, choose=default_unseen), settings, lambda: Observed({}))
    text = with_each(opened).engine.render()
    return Report("render", text.rstrip("\n"), RenderResult(opened.engine.name, text), verbatim=True)
