"""`stackctl ls`: the instances that this user made, or every one on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack.errors import StackError
from stack.observed import ListedState
from stack.record import Place
from stack.registry import is_gone
from stack.report import Report, count, duration, size
from stack.results.machine import EngineProblem, ListedInstance, LsResult
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.style import GREEN, RED, YELLOW, Column, Style, table
from stack.workflow.fleet import Gathered, Member, gather, sizes_of
from stack.workflow.places import told_elsewhere

_COLUMNS = (
    Column("INSTANCE", least=8), Column("ENGINE"), Column("STATE"), Column("URL", least=14, keeps="end"),
    Column("AGE", right=True), Column("DISK", right=True), Column("STACK FILE", least=16, keeps="end"),
)  # fmt: skip
# From so many columns on there is room for whole URLs.
_WIDE = 100
_MOST_URLS = 2
_COLOURS: Mapping[ListedState, str] = {
    "up": GREEN,
    "stopped": YELLOW,
    "restarting": YELLOW,
    "unknown": YELLOW,
    "degraded": RED,
    "orphaned": RED,
}


def ls(settings: Settings, every: bool = False) -> Report[LsResult]:
    """List instances: those in the user's registry and the one that the settings name; with `every` all there are."""
    found = gather(settings, servers=True)
    listed = tuple(
        member for member in found.members if every or member.entry is not None or settings.instance is not None
    )
    places = [(member.instance, place) for member in listed if (place := _elsewhere(member)) is not None]
    known = {(place.engine, place.project) for _, place in places if place.host is None}
    found = replace(found, members=tuple(member for member in found.members if member.key not in known))
    listed = tuple(member for member in listed if member.key not in known)
    gathered, others = replace(found, members=listed), len(found.members) - len(listed)
    sizes = sizes_of(gathered)
    now = datetime.now(UTC)
    data = LsResult(
        instances=tuple(_listed(member, sizes.get((member.engine, member.project))) for member in gathered.members),
        others=others,
        silent={name: EngineProblem(error.code, error.message) for name, error in gathered.silent.items()},
    )

    def text(style: Style) -> str:
        rows = [_row(each, sizes.get((each.engine, each.project)), now, style) for each in gathered.members]
        lines = [table(_COLUMNS, rows, style, _colour)] if rows else ["there is no instance; `stackctl up` makes one"]
        silent = gathered.silent_lines(settings.engine, every)
        return "\n".join([*lines, *map(style.wrapped, _notes(gathered, silent, others, places))])

    return Report.drawn("ls", text, data)


def _colour(head: str, entry: str) -> str | None:
    return next((colour for state, colour in _COLOURS.items() if head == "STATE" and entry == state), None)


def _row(member: Member, used: int | None, now: datetime, style: Style) -> list[str]:
    return [
        member.instance,
        member.engine if member.host is None else f"{member.engine} on {member.host}",
        member.condition,
        _addresses(list(member.urls.values()), style),
        duration((now - member.created).total_seconds()) if member.created else "-",
        size(used) if used is not None else "-",
        _file(member, style),
    ]


def _addresses(urls: list[str], style: Style) -> str:
    """All URLs; on a terminal of many the first, and how many more there are."""
    if style.width is not None and len(urls) > _MOST_URLS:
        return f"{_short(urls[0], style)} +{len(urls) - 1}"
    return " ".join(_short(url, style) for url in urls) or "-"


def _short(url: str, style: Style) -> str:
    """A URL without its scheme where room is scarce; browsers add it."""
    return url if style.width is None or style.width >= _WIDE else url.removeprefix("http://")


def _file(member: Member, style: Style) -> str:
    if member.entry is None:
        return f"? ({style.path(member.states[0])})" if member.states else "?"
    file, gone = member.entry.file, " (gone)" if is_gone(member.entry.file) else ""
    # All playgrounds have the same file; they differ by where they are.
    if file == PLAYGROUND:
        return f"playground in {style.path(_project_folder(member.entry.state))}"
    return f"{style.path(file)}{gone}"


def _project_folder(state: Path) -> Path:
    return state.parent.parent if state.parent.name == ".stackctl" else state.parent


def _elsewhere(member: Member) -> Place | None:
    """Return the other place that has something of an instance; none of one whose state can't be read."""
    if member.entry is None or member.orphaned:
        return None
    with contextlib.suppress(StackError):
        if (record := State(member.entry.state).record()) is not None:
            return record.elsewhere
    return None


def _notes(gathered: Gathered, silent: list[str], others: int, places: Sequence[tuple[str, Place]]) -> list[str]:
    notes = list(silent)
    notes += [f"{instance}: {told_elsewhere(place)}" for instance, place in places]
    if any(member.orphaned for member in gathered.members):
        notes.append("orphaned: the state folder is gone; `stackctl prune` removes what is left")
    if others:
        notes.append(f"{count(others, 'more instance')} on this machine, not made from here: `stackctl ls --all`")
    return ["", *notes] if notes else []


def _listed(member: Member, used: int | None) -> ListedInstance:
    return ListedInstance(
        instance=member.instance,
        engine=member.engine,
        host=member.host,
        project=member.project,
        state=member.condition,
        running=member.running,
        urls=member.urls,
        created=member.created,
        bytes=used,
        file=member.entry.file if member.entry else None,
        file_gone=is_gone(member.entry.file) if member.entry else None,
        state_folders=member.states,
    )
