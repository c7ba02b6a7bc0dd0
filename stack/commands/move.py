"""`stackctl move`: take an instance with its data to another engine or machine, and return from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from stack.errors import StackError, UsageError
from stack.progress import Progress
from stack.record import Place
from stack.report import Report
from stack.results.moves import MoveDeleted, MovePlanned, MoveResult
from stack.settings import Settings
from stack.workflow.access import data_owners, unsaved
from stack.workflow.confirming import Confirm
from stack.workflow.keeping import data_stores, with_data
from stack.workflow.moving import Moved, carry_over, clean_up, make_ready, rehearse, return_to
from stack.workflow.opened import Opened, whole
from stack.workflow.opening import change
from stack.workflow.places import (
    CHOICE,
    at,
    data_kept,
    delete_elsewhere,
    forget_elsewhere,
    here,
    kept,
    named,
    with_elsewhere,
)


def move(
    settings: Settings,
    target: str,
    progress: Progress,
    confirm: Confirm,
    accepts: bool = False,
    dry_run: bool = False,
    timeout: float = 120,
) -> Report[MoveResult | MovePlanned]:
    """Bring an instance up at another place with its data; what it leaves keeps its own, and does not run.

    `accepts`: also without what can't be had there. Raises `move-pending` while an earlier place still has data, and
    `place-taken` for a place that has data which is not known to be of this instance.
    """
    with change(_without(settings, target), progress) as opened:
        _require_something(opened)
        if (before := kept(opened)) is not None:
            raise StackError("move-pending", f"{opened.instance.name} was moved before: {data_kept(before)}", CHOICE)
        place = named(opened, target)
        new = at(opened, place)
        opened.engine.check()
        new.engine.check()
        with _locked(progress, opened, [place, opened.record.elsewhere]):
            _check(opened, new, accepts)
            announced = _announcement(opened, new, accepts)
            if dry_run:
                planned = MovePlanned(opened.instance.name, _names(opened), _names(new))
                return Report.drawn("move", lambda style: style.wrapped(announced), planned)
            if not confirm(announced):
                raise StackError("cancelled", "nothing was moved", "answer y, or say --yes, to move it")
            old = with_elsewhere(delete_elsewhere(opened, settings, progress), place)
            try:
                sources = make_ready(old, new, progress)
                rehearse(settings, old, new, accepts, progress)
                moved = carry_over(settings, old, new, sources, progress, accepts, timeout)
            except BaseException:
                clean_up(old, settings, progress)
                raise
    return _report(settings, opened, new, moved)


def move_back(
    settings: Settings, progress: Progress, confirm: Confirm, gone: bool = False, timeout: float = 120
) -> Report[MoveResult]:
    """Return to the place that an instance left, with its data of then. Raises `nothing-kept`.

    `gone`: the server that it is on can't be reached, and so it can't be stopped there.
    """
    with change(settings, progress, unreachable=gone) as opened:
        new = at(opened, _kept(opened))
        if gone:
            _require_gone(opened)
        new.engine.check()
        with _locked(progress, opened, [opened.record.elsewhere]):
            _require_data(opened, new, gone)
            if not confirm(_back(opened, new, gone)):
                raise StackError("cancelled", "nothing was moved", "answer y, or say --yes, to move it")
            moved = return_to(settings, opened, new, progress, timeout, stops=not gone)
    return _report(settings, opened, new, moved)


def delete_old(settings: Settings, progress: Progress, confirm: Confirm, gone: bool = False) -> Report[MoveDeleted]:
    """Delete what the place has that an instance left, or that a move did not end with. Raises `nothing-kept`.

    `gone`: it is a server that can't be reached; it is forgotten.
    """
    with change(settings, progress, parameters=False) as opened:
        place = opened.record.elsewhere or _kept(opened)
        if gone:
            return _forget(settings, opened, place, confirm)
        with _locked(progress, opened, [place]):
            stores = at(opened, place).engine.resources().volumes
            if not confirm(_deletion(opened, place, stores)):
                raise StackError("cancelled", "nothing was deleted", "answer y, or say --yes, to delete")
            delete_elsewhere(opened, settings, progress)
    name = opened.instance.name
    return Report("move", f"{name}: what was on {place} is deleted", MoveDeleted(name, str(place), stores))


def _forget(settings: Settings, opened: Opened, place: Place, confirm: Confirm) -> Report[MoveDeleted]:
    name = opened.instance.name
    _require_gone(at(opened, place))
    if not confirm(f"This forgets what {name!r} has on {place}. If that server comes back, it still has it."):
        raise StackError("cancelled", "nothing was forgotten", "answer y, or say --yes, to forget it")
    forget_elsewhere(opened, settings)
    return Report("move", f"{name}: what is on {place} is forgotten", MoveDeleted(name, str(place), ()))


def _require_data(opened: Opened, new: Opened, gone: bool) -> None:
    """Raise `nothing-kept` if the data at the place to return to is gone: an empty instance would run there."""
    if (gone or with_data(opened)) and data_stores(new) and not with_data(new):
        place = here(new)
        raise StackError("nothing-kept", f"there is no data on {place} any more", "`stackctl move --delete-old`")


def _require_gone(opened: Opened) -> None:
    """Raise `UsageError` for a place that can be asked."""
    try:
        opened.engine.check()
    except StackError:
        return
    raise UsageError(f"{here(opened)} answers", "leave --server-gone out")


@contextmanager
def _locked(progress: Progress, opened: Opened, places: Sequence[Place | None]) -> Iterator[None]:
    """Keep other machines from these places too, each of them once."""
    own = here(opened).key
    others = {each.key: each for each in places if each is not None}
    with ExitStack() as held:
        for place in [each for key, each in others.items() if key != own]:
            held.enter_context(at(opened, place).engine.locked(progress))
        yield


def _without(settings: Settings, target: str) -> Settings:
    """Return the settings without an option that names where the instance is to go: it is not there yet."""
    engine = None if settings.engine == target else settings.engine
    return replace(settings, engine=engine, host=None if settings.host == target else settings.host)


def _require_something(opened: Opened) -> None:
    if not opened.state.exists():
        name = opened.instance.name
        raise StackError("instance-down", f"there is no instance {name} yet", "`stackctl up` makes it, on any engine")


def _kept(opened: Opened) -> Place:
    if (place := kept(opened)) is None:
        name = opened.instance.name
        raise StackError("nothing-kept", f"{name} has no data at another place", "`stackctl move --to` moves it")
    return place


def _check(opened: Opened, new: Opened, accepts: bool) -> None:
    """Raise what speaks against a move before anything is done."""
    held, place = with_data(opened), here(new)
    able = data_owners(whole(new).instance.stack)
    if lost := [name for name in held if name not in able]:
        raise StackError(
            "snapshot-loses",
            f"{', '.join(lost)}: has data, and can't run on {place}; nothing was touched",
            "move to another place, or delete that data first",
        )
    if not accepts and (strange := _strange(opened, new)):
        raise StackError(
            "snapshot-loses",
            f"{', '.join(strange)}: the server on {place} is another one, which can't read the data of the one on "
            f"{here(opened)}; nothing was touched",
            f"`stackctl move --accept-loss --to {place.host or place.engine}` begins there without that data",
        )
    begun = opened.record.elsewhere
    if begun is not None and begun.key == place.key:
        return
    if there := new.engine.resources().volumes:
        raise StackError(
            "place-taken",
            f"there is data on {place} already that is not known to be of {opened.instance.name}: {', '.join(there)}; "
            "nothing was touched",
            "delete it if it is not needed, or move to another place",
        )


def _strange(opened: Opened, new: Opened) -> list[str]:
    """Name the components whose data the servers at the other place can't read."""
    if opened.engine.traits.target == new.engine.traits.target:
        return []
    return [name for name, data in with_data(opened).items() if not data.portable]


def _announcement(opened: Opened, new: Opened, accepts: bool) -> str:
    name, was, place = opened.instance.name, here(opened), here(new)
    lost = _strange(opened, new) if accepts else []
    taken = [each for each in with_data(opened) if each not in lost]
    left = [each for each in unsaved(opened.instance.stack.whole) if opened.engine.volumes.has_data(each)]
    lines = [f"This moves the instance {name!r} from {was} to {place}:"]
    if new.engine.traits.builds:
        lines.append("  its images are made ready there while it still runs")
    lines.append(f"  it stops on {was}; nothing answers until it is up on {place}")
    if taken:
        lines.append(f"  the data of {', '.join(taken)} is saved, loaded there and compared")
    lines += [f"  {each} begins EMPTY there: its server is another one" for each in lost]
    lines += [f"  {each} begins empty there: backup=False" for each in left]
    lines.append("  passwords and ports stay the same; a cache begins empty")
    lines.append(f"  its data on {was} stays as it is, until `stackctl move --delete-old`")
    if begun := opened.record.elsewhere:
        lines.append(f"What an earlier move made on {begun} is deleted first.")
    return "\n".join(lines)


def _back(opened: Opened, new: Opened, gone: bool) -> str:
    name, was, place = opened.instance.name, here(opened), here(new)
    return "\n".join([
        f"This returns the instance {name!r} from {was} to {place}, with the data that it had there:",
        f"  what was written on {was} since then is NOT in it",
        f"  {was} can't be reached: if it runs there, it GOES ON there, beside this one"
        if gone
        else f"  the data on {was} stays as it is: `stackctl move --back` returns to that",
    ])  # fmt: skip


def _deletion(opened: Opened, place: Place, stores: Sequence[str]) -> str:
    return "\n".join([
        f"This deletes what {opened.instance.name!r} has on {place}:",
        *([f"  volumes: {', '.join(stores)}"] if stores else ["  no data"]),
        f"The instance itself, on {here(opened)}, is not touched.",
    ])  # fmt: skip


def _report(settings: Settings, opened: Opened, new: Opened, moved: Moved) -> Report[MoveResult]:
    name, was, place = opened.instance.name, here(opened), here(new)
    taken = f"; its data was taken along and compared ({moved.manifest.holds})" if moved.manifest else ""
    notices = (*moved.notices, *_contradictions(settings, place))

    head = [
        f"{name} is on {place} now, and was on {was}{taken}; nothing answered for {moved.downtime:.1f} s",
        f"its data on {was} is kept: {CHOICE}",
        *(f"note: {each}" for each in notices),
    ]
    data = MoveResult(
        instance=name,
        was=_names(opened),
        now=_names(new),
        downtime=round(moved.downtime, 3),
        rows=moved.manifest.rows if moved.manifest else 0,
        files=moved.manifest.files if moved.manifest else 0,
        notices=notices,
        up=moved.up.data,
    )
    return moved.up.headed("move", "\n".join(head), data)


def _contradictions(settings: Settings, place: Place) -> Iterator[str]:
    """Say which options or variables would make the next command end, because they name the place of before."""
    if settings.engine not in (None, place.engine):
        yield f"--engine or STACKCTL_ENGINE names {settings.engine}: leave it out from now on"
    if settings.host is not None:
        yield "--host or STACKCTL_HOST was given: leave it out from now on"


def _names(opened: Opened) -> str:
    return str(here(opened))
