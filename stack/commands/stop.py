"""`stackctl stop`: stop the components, and keep them and their data."""

from __future__ import annotations

from stack.progress import Progress
from stack.report import Report, with_note
from stack.results.lifecycle import StopResult
from stack.settings import Settings
from stack.workflow.journal import Journal
from stack.workflow.opening import change, require_up


def stop(settings: Settings, progress: Progress) -> Report[StopResult]:
    """Stop the components and keep them: `start` brings them back as they were."""
    with change(settings, progress, parameters=False) as opened:
        require_up(opened.instance, opened.engine.observe())
        progress.step(f"{opened.instance.name}: stopping")
        journal = Journal(opened.state)
        # First, so that an interrupted stop is recognised.
        note = journal.try_save(journal.applied.wanting("stopped"))
        opened.engine.stop()
    text = f"{opened.instance.name} is stopped; `stackctl start` starts it again"
    data = StopResult(opened.instance.name, notices=(note,) if note else ())
    return Report("stop", with_note(text, note), data)
