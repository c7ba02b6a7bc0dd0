"""`stackctl wait`: block until the instance is ready, however it was started."""

from __future__ import annotations

from collections.abc import Mapping

from stack.engines.process import FinishedJob
from stack.errors import StackError
from stack.observed import Observed
from stack.progress import Progress
from stack.report import Report
from stack.results.instances import ExternalStatus
from stack.results.lifecycle import WaitResult
from stack.settings import Settings
from stack.style import GREEN, Style
from stack.verdict.health import observe
from stack.verdict.judge import judge
from stack.verdict.watch import Clock, SystemClock, await_ready
from stack.workflow.externals import external_statuses
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.summary import component_statuses, located, overall, problem, url_lines

_INTERVAL = 0.5
# Of the failures that `up` is sure of, those that no other command may be about to mend.
_HOPELESS = ("crash-loop", "server-ended")


def wait(
    settings: Settings, progress: Progress, timeout: float = 120, clock: Clock | None = None
) -> Report[WaitResult]:
    """Ready is what `up` calls so. An instance that is not up yet may be on its way: another command makes it.

    Raises `not-ready` after `timeout` seconds, and `crash-loop` or `server-ended` as soon as that is certain.
    """
    clock = clock or SystemClock()
    start = clock.now()
    opened, observed, externals = _await_up(settings, progress, timeout, clock)
    left = max(0.0, timeout - (clock.now() - start))
    verdict = await_ready(opened.instance, opened.engine, FinishedJob(), observed, left, progress)
    seconds, instance = clock.now() - start, located(opened.instance, verdict.observed)
    data = WaitResult(
        instance=opened.instance.name,
        engine=opened.engine.name,
        urls=instance.urls,
        seconds=round(seconds, 1),
        components=component_statuses(opened.instance, verdict.observed),
        externals=externals,
    )

    def text(style: Style) -> str:
        first = f"{opened.instance.name} {style.paint(f'is ready ({style.took(seconds)})', GREEN)}"
        return "\n".join([first, *url_lines(instance, style)])

    return Report.drawn("wait", text, data)


def _await_up(
    settings: Settings, progress: Progress, timeout: float, clock: Clock
) -> tuple[Opened, Observed, Mapping[str, ExternalStatus]]:
    """Look until everything runs and is well, and what stackctl does not run accepts its URL.

    What `up` in another terminal remembers is read each time.
    """
    deadline = clock.now() + timeout
    first: Observed | None = None
    while True:
        opened = look(settings)
        observed = observe(opened.instance, opened.engine)
        first = first or observed
        externals: Mapping[str, ExternalStatus] = {}
        if overall(opened.instance, observed) in ("up", "partial"):
            externals = external_statuses(opened)
            if not any(each.problem for each in externals.values()):
                return opened, observed, externals
        states = _states(opened, observed)
        progress.states(states)
        failure = judge(opened.instance.stack, observed, first)
        if failure is not None and failure.code in _HOPELESS:
            raise StackError(failure.code, failure.problem, f"look at `stackctl logs {failure.component}`")
        if clock.now() >= deadline:
            shown = ", ".join(f"{name} {state}" for name, state in states.items())
            problems = [f"{name}: {text}" for name, each in observed.components.items() if (text := problem(each))]
            others = externals or external_statuses(opened)
            problems += [f"{name}: {each.problem}" for name, each in others.items() if each.problem]
            ill = next((f" {name}" for name, each in observed.components.items() if not each.well), "")
            raise StackError(
                "not-ready",
                f"not ready after {timeout:g} s: " + "; ".join([shown, *problems]),
                f"`stackctl up` starts it; look at `stackctl status` and `stackctl logs{ill}`, "
                "or give it longer with --timeout SECONDS",
            )
        clock.wait(_INTERVAL)


def _states(opened: Opened, observed: Observed) -> Mapping[str, str]:
    there = {name: component.summary for name, component in observed.components.items()}
    return dict.fromkeys(opened.instance.stack.names, "absent") | there
