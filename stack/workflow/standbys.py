"""Let nothing be acknowledged that a standby does not have, and tell how standbys follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping

from stack.engines.base import Standbys
from stack.errors import StackError
from stack.observed import Observed
from stack.progress import Progress
from stack.replication import Following, Replication
from stack.results.instances import StandbyStatus
from stack.workflow.opened import Opened
from stack.workflow.part import EVERYTHING, Part

_CAUGHT_UP_WITHIN = 60.0
_POLL = 0.25


def replications(opened: Opened) -> dict[str, Replication]:
    """Return how the data of each component that has a standby is kept, by its name."""
    return {each.name: each.replication for each in opened.instance.stack if each.replication is not None}


def protect(opened: Opened, observed: Observed, progress: Progress, part: Part = EVERYTHING) -> None:
    """Let each primary of a part wait for its standby from now on, as declared. Raises `standby-late`."""
    standbys, found = opened.engine.standbys, replications(opened)
    if standbys is None or not part.of(found):
        return
    waiting = {name: each for name, each in found.items() if each.synchronous and _both_run(observed, name, each)}
    for name, each in waiting.items():
        primary = opened.engine.session(name)
        if standbys.holds_all() and each.following(primary).protected:
            continue
        progress.step(f"{name}: waiting until {each.standby} has all of its data")
        each.protect(primary, opened.engine.session(each.standby), _CAUGHT_UP_WITHIN)
    standbys.note(all(not each.synchronous or name in waiting for name, each in found.items()))


def await_standbys(opened: Opened, primaries: Collection[str], progress: Progress, timeout: float) -> None:
    """Let each of these primaries that acknowledges nothing have a standby again. Raises `standby-late`."""
    found = {name: each for name, each in replications(opened).items() if name in primaries}

    def stuck() -> dict[str, Following]:
        asked = {name: each.following(opened.engine.session(name)) for name, each in found.items()}
        return {name: following for name, following in asked.items() if following.stuck}

    if not (waiting := stuck()):
        return
    progress.step(f"{', '.join(waiting)}: waiting for a standby, without which nothing is acknowledged")
    deadline, pause = time.monotonic() + timeout, threading.Event()
    with opened.engine.apply(only=[*waiting, *(found[name].standby for name in waiting)]) as job:
        while waiting := stuck():
            for name, following in waiting.items():
                if (each := found[name]).synchronous and following.state == "streaming":
                    each.protect(opened.engine.session(name), opened.engine.session(each.standby), timeout)
            if job.wait(_POLL):
                raise job.explain()
            if time.monotonic() > deadline:
                raise StackError(
                    "standby-late",
                    f"{', '.join(waiting)} acknowledges nothing, because no standby follows after {timeout:g} s",
                    "bring its node back, or a third one; then run this again",
                )
            pause.wait(_POLL)


def standby_statuses(
    opened: Opened, observed: Observed, primaries: Collection[str] | None = None
) -> dict[str, StandbyStatus]:
    """Tell how the standby of each of these primaries follows, or of all, by the name of the primary."""
    standbys, found = opened.engine.standbys, replications(opened)
    wanted = [name for name in found if primaries is None or name in primaries]
    if standbys is None or not wanted:
        return {}
    return {name: _status(opened, observed, standbys, name, found[name]) for name in wanted}


def standby_lines(statuses: Mapping[str, StandbyStatus]) -> list[str]:
    """Say it for people, with what to type if something is wrong."""
    return [line for name, each in statuses.items() for line in _lines(name, each)]


def _both_run(observed: Observed, name: str, replication: Replication) -> bool:
    states = [observed.components.get(each) for each in (name, replication.standby)]
    return all(state is not None and state.running for state in states)


def _status(
    opened: Opened, observed: Observed, standbys: Standbys, name: str, replication: Replication
) -> StandbyStatus:
    home, spare = standbys.home(), standbys.spare()
    following = _following(opened, observed, name, replication)
    return StandbyStatus(
        standby=replication.standby,
        mode="sync" if replication.synchronous else "async",
        node=home.name if home is not None else None,
        node_ready=home is not None and home.ready,
        standby_node=spare.name if spare is not None else None,
        standby_node_ready=spare is not None and spare.ready,
        state="unknown" if following is None else following.state,
        protected=following is not None and following.protected,
        behind_bytes=None if following is None else following.behind,
        behind_seconds=None if following is None else following.seconds,
        waiting=0 if following is None else following.waiting,
    )


def _following(opened: Opened, observed: Observed, name: str, replication: Replication) -> Following | None:
    """Ask a primary; None if it does not answer."""
    state = observed.components.get(name)
    if state is None or not state.running:
        return None
    try:
        return replication.following(opened.engine.session(name))
    except StackError:
        return None


def _lines(name: str, status: StandbyStatus) -> list[str]:
    kind = "synchronous" if status.mode == "sync" else "asynchronous"
    where = (
        f"primary {name} on {status.node or 'no node'}, standby {status.standby} on {status.standby_node or 'no node'}"
    )
    if status.state == "unknown":
        lost = "" if status.node_ready else f": {status.node} is down"
        return [
            f"{where}: {name} does not answer{lost}; `stackctl failover {name}` lets {status.standby} take its place"
        ]
    if status.state == "absent":
        waits = f"; {status.waiting} sessions wait for it" if status.waiting else ""
        return [
            f"{where} ({kind}): {status.standby} does not follow{waits}; bring it back, let `stackctl up` make "
            f'another, or declare standby="async"'
        ]
    behind = f"{status.behind_bytes or 0} bytes and {status.behind_seconds or 0:.1f} s behind"
    if status.mode == "sync" and not status.protected:
        return [f"{where} ({kind}): {behind}, and {name} does not rely on it yet; `stackctl up` lets it"]
    return [f"{where} ({kind}): {behind}"]
