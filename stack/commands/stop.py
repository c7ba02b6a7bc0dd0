"""`stackctl stop`: stop the components, or some of them, and keep them and their data."""

from __future__ import annotations

from collections.abc import Sequence

from stack.progress import Progress
from stack.report import Report, with_note
from stack.results.lifecycle import StopResult
from stack.settings import Settings
from stack.workflow.finding import find_component, require_up
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.part import noting_stopped


def stop(settings: Settings, progress: Progress, names: Sequence[str] = ()) -> Report[StopResult]:
    """Stop the components and keep them: `start` brings them back as they were. All others of `names` run on."""
    with change(settings, progress, parameters=False) as opened:
        for name in names:
            find_component(opened.instance, name)
        require_up(opened.instance, opened.engine.observe())
        return _stop_some(opened, progress, names) if names else _stop_all(opened, progress)


def _stop_all(opened: Opened, progress: Progress) -> Report[StopResult]:
    progress.step(f"{opened.instance.name}: stopping")
    journal = Journal(opened.state)
    # First, so that an interrupted stop is recognised.
    note = journal.try_save(journal.applied.wanting("stopped"))
    opened.engine.stop()
    text = f"{opened.instance.name} is stopped; `stackctl start` starts it again"
    data = StopResult(opened.instance.name, opened.instance.stack.names, notices=(note,) if note else ())
    return Report("stop", with_note(text, note), data)


def _stop_some(opened: Opened, progress: Progress, names: Sequence[str]) -> Report[StopResult]:
    instance, stack = opened.instance, opened.instance.stack
    stopped = tuple(dict.fromkeys(names))
    progress.step(f"{', '.join(stopped)}: stopping")
    # First, so that an interrupted stop is recognised, and so that what ends is not taken for failed.
    noted = noting_stopped(opened, instance.stopped.union(stopped))
    noted.state.remember(noted.record)
    noted.engine.stop(stopped)
    running = [name for name, state in noted.engine.observe().components.items() if state.running]
    users = [name for name in running if name in stack.names and set(stack[name].needs).intersection(stopped)]
    verb = "is" if len(stopped) == 1 else "are"
    text = f"{', '.join(stopped)} {verb} stopped; `stackctl start {' '.join(stopped)}` starts {_it(stopped)} again"
    note = f"{', '.join(users)} {'uses' if len(users) == 1 else 'use'} what is stopped, and may fail" if users else ""
    return Report("stop", with_note(text, note), StopResult(instance.name, stopped, notices=(note,) if note else ()))


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
