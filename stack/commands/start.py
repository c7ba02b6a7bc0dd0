"""`stackctl start`: start what `stop` stopped, and judge it as `up` does."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stack.errors import StackError
from stack.observed import Observed
from stack.progress import Progress
from stack.report import Report, with_note
from stack.results.lifecycle import StartResult
from stack.settings import Settings
from stack.style import GREEN, Style
from stack.verdict.ready import remember_ready
from stack.verdict.watch import Verdict, await_ready
from stack.workflow.finding import require_up
from stack.workflow.journal import Journal
from stack.workflow.loops import restart_lines, stop_loops
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.part import noting_stopped, with_needed
from stack.workflow.summary import component_statuses, located, url_lines


def start(
    settings: Settings, progress: Progress, timeout: float = 120, names: Sequence[str] = ()
) -> Report[StartResult]:
    """Start the components that `stop` stopped, all or those of `names` and what they need, and judge as `up` does."""
    with change(settings, progress) as opened:
        needed = with_needed(opened.instance, names).names if names else frozenset[str]()
        before = opened.engine.observe()
        require_up(opened.instance, before)
        _require_there(opened, before, names)
        opened = noting_stopped(opened, _still_stopped(opened, before, needed))
        verdict = _start(opened, before, needed, timeout, progress)
        journal = Journal(opened.state)
        note = journal.try_save(journal.applied.wanting("up"))
        if opened.state.record() != opened.record:
            opened.state.remember(opened.record)
        remember_ready(opened.state, verdict.observed, needed)
        components = {**opened.engine.observe().components, **verdict.observed.components}
    instance = located(opened.instance, Observed(components))
    data = StartResult(
        instance=opened.instance.name,
        urls=instance.urls,
        components=component_statuses(opened.instance, Observed(components)),
        restarted=verdict.restarted,
        notices=(note,) if note else (),
    )
    started = f"{', '.join(dict.fromkeys(names))} {'is' if len({*names}) == 1 else 'are'} up"

    def text(style: Style) -> str:
        done = f"{started if names else 'is up'} ({style.took(verdict.seconds)})"
        first = style.paint(done, GREEN) if names else f"{opened.instance.name} {style.paint(done, GREEN)}"
        urls = url_lines(instance, style, needed)
        restarts = [style.wrapped(line, "  ") for line in restart_lines(verdict.restarted)]
        return with_note("\n".join([first, *urls, *restarts]), note)

    return Report.drawn("start", text, data)


def _require_there(opened: Opened, before: Observed, names: Sequence[str]) -> None:
    """Raise `component-down` for a component that was never made: it can't be started as it was."""
    for name in names:
        if name not in before.components:
            problem, hint = f"{name} does not exist, so there is nothing to start", f"`stackctl up {name}` makes it"
            raise StackError("component-down", problem, hint)


def _still_stopped(opened: Opened, before: Observed, needed: Collection[str]) -> set[str]:
    """Return what does not run on purpose from now on: without names, what there is nothing of."""
    stopped = opened.instance.stopped
    return {name for name in stopped if (name not in needed if needed else name not in before.components)}


def _start(opened: Opened, before: Observed, needed: Collection[str], timeout: float, progress: Progress) -> Verdict:
    try:
        with opened.engine.start(needed) as job:
            return await_ready(opened.instance, opened.engine, job, before, timeout, progress, only=needed)
    except StackError as error:
        raise stop_loops(opened.engine, before, error) from error
