"""`stackctl down`: remove the components, and keep their data."""

from __future__ import annotations

from stack.progress import Progress
from stack.report import Report, with_note
from stack.results.lifecycle import DownResult
from stack.settings import Settings
from stack.workflow.journal import Journal
from stack.workflow.opening import change


def down(settings: Settings, progress: Progress) -> Report[DownResult]:
    """Remove the components and their networks; keep the data. Not an error when there is nothing."""
    note = ""
    with change(settings, progress, parameters=False) as opened:
        left = opened.engine.resources()
        if left.containers or left.networks:
            progress.step(f"{opened.instance.name}: removing its components")
            journal = Journal(opened.state)
            note = journal.try_save(journal.applied.wanting("down"))
            opened.engine.down()
    text = f"{opened.instance.name} is down"
    if left.volumes:
        text += f"; its data is kept ({', '.join(left.volumes)}): `stackctl up` brings it back"
    data = DownResult(opened.instance.name, kept=left.volumes, notices=(note,) if note else ())
    return Report.drawn("down", lambda style: style.wrapped(style.paths(with_note(text, note))), data)
