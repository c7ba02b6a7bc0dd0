"""Apply what changed while an instance is watched, and say in a line what was done."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from stack.errors import StackError
from stack.frozen import dataclass
from stack.observed import Observed
from stack.progress import Progress
from stack.results.plans import PlannedAction
from stack.settings import Settings
from stack.workflow.converge import UpOptions, converge
from stack.workflow.finding import require_up
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.part import EVERYTHING, Part
from stack.workflow.plan_text import DONE
from stack.workflow.ports import registered
from stack.workflow.watched import Changes, Watched, watched

_MOST_FILES = 3
_MOST_LINES = 8


@dataclass(frozen=True)
class Reaction:
    """What was done: `line` says it, and is empty if there was nothing to do.

    `behind`: something that changed is still to be applied. `failed`: what was to be done was not. `watched`: what is
    to be watched from now on; None: as before.
    """

    line: str = ""
    behind: bool = False
    failed: bool = False
    watched: Watched | None = None


@dataclass(frozen=True)
class _Applied:
    """What was done to components, and the concerned ones among those that do not run after a failure."""

    actions: Sequence[PlannedAction]
    error: StackError | None = None
    down: Sequence[str] = ()
    builds: bool = True


def react(
    settings: Settings, progress: Progress, changes: Changes, before: Reaction, first: bool, timeout: float
) -> Reaction:
    """Apply changes under the lock of the instance, and let it go again.

    If the reaction before is behind, also what is not applied yet. `first`: nothing of the instance need exist.
    """
    began = time.monotonic()
    files = _named(changes.files, settings.file.parent) or "before this"
    whole = before.behind or changes.declared
    try:
        with change(settings, progress) as opened:
            now = watched(opened, settings)
            there = opened.engine.observe()
            if not first:
                _require_running(opened, there)
            part = EVERYTHING if whole and not opened.instance.stopped else _part(opened, changes, there, whole)
            # With `first` it goes on with an `up` that failed.
            part = replace(part, only_changed=not first)
            done = _apply(opened, settings, progress, part, timeout) if whole or part.names else _Applied(())
    except StackError as error:
        # The declaration can't be used, or the instance is not up: nothing was touched.
        line = f"{files}: not applied: {_told(error)}"
        return Reaction(line, before.behind or changes.declared or bool(changes.files), failed=True)
    seconds = time.monotonic() - began
    if done.error is None:
        line = _line(files, done.actions, seconds)
        if before.failed and not line:
            line = f"{files}: what runs is what is declared again"
        return Reaction(line, watched=now)
    names = done.error.component or ", ".join(part.of(opened.instance.stack.names))
    return Reaction(_failed(files, names, done, seconds), whole, True, now)


def _require_running(opened: Opened, there: Observed) -> None:
    """Raise if the instance was stopped or taken down meanwhile: that is to be as it is until it is started."""
    name = opened.instance.name
    require_up(opened.instance, there)
    if opened.state.applied().wanted == "stopped":
        raise StackError("instance-down", f"{name} is stopped", "`stackctl start` starts it again")


def _part(opened: Opened, changes: Changes, there: Observed, whole: bool) -> Part:
    """Return what is to be made of the components that changes concern and that are to run."""
    stack = opened.instance.stack
    if whole:
        return Part(frozenset(opened.instance.expected))
    concerned = {name: kinds for name, kinds in changes.components.items() if name in opened.instance.expected}
    known = there.components.keys() | {*stack.jobs}
    concerned = {name: kinds for name, kinds in concerned.items() if name in known}
    seen = frozenset(name for name, kinds in concerned.items() if "mount" in kinds and name not in stack.jobs)
    # What a container sees as it is needs no other image.
    return Part(frozenset(concerned), seen, as_made=seen if opened.engine.traits.builds else frozenset())


def _apply(opened: Opened, settings: Settings, progress: Progress, part: Part, timeout: float) -> _Applied:
    """Make a part as it is now declared; what ran before is put back if that fails and the engine has it."""
    builds = opened.engine.traits.builds
    # A process runs in its source: there is no version before it to go back to.
    options = UpOptions(timeout, rollback=builds, part=part)
    try:
        with registered(opened, settings) as ready:
            report = converge(ready, Journal(opened.state), progress, options)
    except StackError as error:
        observed = opened.engine.observe().components
        names = part.of(opened.instance.expected)
        lasting = [name for name in names if name not in opened.instance.stack.jobs]
        # What sees a folder as it is has no version before this one either.
        failed = {error.component}.intersection(part.as_made)
        down = [name for name in lasting if name in failed or name not in observed or not observed[name].well]
        return _Applied((), error, down, builds)
    return _Applied([each for each in report.data.plan.actions if each.action != "keep"])


def _named(changed: Sequence[Path], root: Path) -> str:
    """Name the files; of those that are gone only if nothing else changed, for editors write others first."""
    there = [path for path in changed if path.exists()]
    files = [path for path in there if not path.is_dir()] or there or changed
    shown = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in files[:_MOST_FILES]]
    more = len(files) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _line(files: str, actions: Iterable[PlannedAction], seconds: float) -> str:
    """`app.py: web, worker rebuilt, migrate run (2.1 s)`."""
    kinds: dict[str, list[str]] = {}
    for each in actions:
        kinds.setdefault(DONE[each.action], []).append(each.component)
    what = ", ".join(f"{', '.join(names)} {done}" for done, names in kinds.items())
    return f"{files}: {what} ({seconds:.1f} s)" if what else ""


def _failed(files: str, names: str, done: _Applied, seconds: float) -> str:
    assert done.error is not None  # noqa: S101 - it failed
    output = _output(done.error)
    left = f"{output}\n  " if output else "; "
    return f"{files}: {names} failed ({seconds:.1f} s): {_told(done.error)}{left}{_state(done.down, done.builds)}"


def _state(down: Collection[str], builds: bool) -> str:
    if down:
        are = "is" if len(down) == 1 else "are"
        return f"{', '.join(down)} {are} not well; the next change tries again"
    return "what ran before runs on; the next change tries again" if builds else "the next change tries again"


def _told(error: StackError) -> str:
    return f"{error.message} ({error.code})"


def _output(error: StackError) -> str:
    """Return the last lines of what failed, below the line."""
    lines = error.output.splitlines()[-_MOST_LINES:]
    return "".join(f"\n  | {line}" for line in lines)
