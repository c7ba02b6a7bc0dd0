"""`stackctl restart`: restart components, with what changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.workflow.converge import UpOptions, converge
from stack.workflow.finding import require_up
from stack.workflow.journal import Journal
from stack.workflow.local import require_used
from stack.workflow.opening import change
from stack.workflow.part import with_jobs
from stack.workflow.planning import check_sources
from stack.workflow.ports import registered


def restart(
    settings: Settings, progress: Progress, timeout: float = 120, names: Sequence[str] = ()
) -> Report[UpResult]:
    """Restart components: those of `names`, or all that are to run.

    What changed of them since the last `up` is applied, and the plan says what that is; jobs before them are done
    again if they changed. All else is left as it is. Raises `component-down` if one of `names` uses what does not run.
    """
    with change(settings, progress) as opened:
        part = with_jobs(opened.instance, names)
        observed = opened.engine.observe()
        require_up(opened.instance, observed)
        for name in part.asked:
            require_used(opened, observed, name, part.names)
        check_sources(opened, part)
        with registered(opened, settings) as ready:
            report = converge(ready, Journal(opened.state), progress, UpOptions(timeout, part=part))
    return replace(report, command="restart")
