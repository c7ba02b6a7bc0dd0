"""Reach an instance at another place than that it is at: where a `move` takes it, or where it was before one."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import UTC, datetime

from stack.engines import ENGINES
from stack.errors import StackError, UsageError
from stack.instance import default_project
from stack.progress import Progress
from stack.record import Place
from stack.registry import Registry
from stack.settings import Settings
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened, with_instance

CHOICE = "`stackctl move --back` returns to it, `stackctl move --delete-old` deletes it"
"""What can be done about data that is kept, for people."""


def here(opened: Opened, left: str = "") -> Place:
    """Return the place that an instance is at."""
    instance, record = opened.instance, opened.record
    return Place(
        engine=opened.engine.name,
        project=instance.project,
        host=instance.host,
        generations=instance.generations,
        system_binaries=record.system_binaries,
        left=left,
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def at(opened: Opened, place: Place) -> Opened:
    """Return the same instance at another place, as it would be there. Nothing is recorded yet."""
    record = replace(
        opened.record,
        engine=place.engine,
        project=place.project,
        host=place.host,
        system_binaries=place.system_binaries,
        elsewhere=None,
    )
    instance = replace(opened.instance, project=place.project, host=place.host, generations=place.generations)
    return with_instance(replace(opened, record=record, choice=Choice(place.engine)), instance)


def with_elsewhere(opened: Opened, place: Place | None) -> Opened:
    """Return the same with another place that has something of it, which is recorded at once."""
    other = replace(opened, record=replace(opened.record, elsewhere=place))
    if other.state.record() != other.record:
        other.state.remember(other.record)
    return other


def named(opened: Opened, target: str) -> Place:
    """Return the place that a user names: an engine on this machine, or a server.

    Raises `UsageError` for what is neither, and for the place that the instance is at.
    """
    host = None if target in ENGINES else _address(target)
    engine = target if host is None else _serving(opened)
    if (engine, host) == (opened.engine.name, opened.instance.host):
        raise UsageError(f"{opened.instance.name} is on {here(opened)} already", "name another engine or server")
    state, instance = opened.instance.state, opened.instance
    if host is None and instance.host is None:
        project = instance.project
    else:
        project = default_project(instance.name, state, None if host is None else platform.node())
    return Place(engine, project, host, system_binaries=opened.record.system_binaries)


def _address(target: str) -> str:
    # Only for a server is it loaded.
    from stack.engines.docker.hosts import address_of

    try:
        return address_of(target)
    except UsageError as error:
        engines = ", ".join(ENGINES)
        raise UsageError(
            error.message, f"name an engine ({engines}) or a server, like ssh://deploy@shop.example.com"
        ) from error


def _serving(opened: Opened) -> str:
    """Return the engine for servers."""
    return next(name for name, make in ENGINES.items() if make(opened.instance).traits.serves)


def kept(opened: Opened) -> Place | None:
    """Return the place that the instance left and that still has its data of then."""
    place = opened.record.elsewhere
    return place if place is not None and place.left else None


def told_elsewhere(place: Place) -> str:
    """Say, for people, what there is at another place."""
    return data_kept(place) if place.left else f"a move to {place} did not end"


def elsewhere_line(place: Place) -> str:
    """Say the same with what can be done about it."""
    choice = CHOICE if place.left else "`stackctl move --delete-old`, or the next move, deletes what it made"
    return f"{told_elsewhere(place)}: {choice}"


def data_kept(place: Place) -> str:
    """Say, for people, which data is at a place that the instance left."""
    left = datetime.fromisoformat(place.left).astimezone()
    return f"its data as of {left:%Y-%m-%d %H:%M} is kept on {place}"


def delete_elsewhere(opened: Opened, settings: Settings, progress: Progress) -> Opened:
    """Delete all that the other place has, if there is one, and forget that place; hold its lock."""
    place = opened.record.elsewhere
    if place is None:
        return opened
    other = at(opened, place)
    if place.key == here(opened).key:
        raise StackError("bug", f"{place} is where {opened.instance.name} is; nothing was deleted", "report this")
    progress.step(f"{opened.instance.name}: deleting what is on {place}")
    try:
        other.engine.destroy()
    except StackError as error:
        raise error.hinting(f"what is on {place} is not deleted yet; {error.hint}") from error
    return forget_elsewhere(opened, settings)


def forget_elsewhere(opened: Opened, settings: Settings) -> Opened:
    """Forget the other place, and leave what it has."""
    place = opened.record.elsewhere
    if place is not None and place.project != opened.instance.project:
        Registry(settings.registry).remove(place.project)
    return with_elsewhere(opened, None)
