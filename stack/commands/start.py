"""`stackctl start`: start what `stop` stopped, and judge it as `up` does."""

from __future__ import annotations

from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report, with_note
from stack.results.lifecycle import StartResult
from stack.settings import Settings
from stack.style import GREEN, Style
from stack.verdict import await_ready, remember_ready
from stack.workflow.journal import Journal
from stack.workflow.loops import restart_lines, stop_loops
from stack.workflow.opening import change, require_up
from stack.workflow.summary import component_statuses, url_lines


def start(settings: Settings, progress: Progress, timeout: float = 120) -> Report[StartResult]:
    """Start the components that `stop` stopped, and judge as `up` does."""
    with change(settings, progress) as opened:
        before = opened.engine.observe()
        require_up(opened.instance, before)
        try:
            with opened.engine.start() as job:
                verdict = await_ready(opened.instance, opened.engine, job, before, timeout, progress)
        except StackError as error:
            raise stop_loops(opened.engine, before, error) from error
        journal = Journal(opened.state)
        note = journal.try_save(journal.applied.wanting("up"))
        remember_ready(opened.state, verdict.observed)
    data = StartResult(
        instance=opened.instance.name,
        urls=opened.instance.urls,
        components=component_statuses(opened.instance, verdict.observed),
        restarted=verdict.restarted,
        notices=(note,) if note else (),
    )

    def text(style: Style) -> str:
        first = f"{opened.instance.name} {style.paint(f'is up ({style.took(verdict.seconds)})', GREEN)}"
        restarts = [style.wrapped(line, "  ") for line in restart_lines(verdict.restarted)]
        return with_note("\n".join([first, *url_lines(opened.instance, style), *restarts]), note)

    return Report.drawn("start", text, data)
