"""`stackctl watch`: apply what changes in the sources and in the stack file, as it changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from stack.errors import Interrupted, StackError
from stack.progress import Progress
from stack.report import Report
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.finding import require_up
from stack.workflow.finishing import finishing
from stack.workflow.opening import look
from stack.workflow.reacting import Reaction, react
from stack.workflow.sensing import Sensor
from stack.workflow.watched import Changes, Watched, watched

# What changes again each time that it is applied is changed by the component itself.
_MOST_AGAIN = 4
# So many seconds after one change was applied the next one was there already.
_AT_ONCE = 0.3


class Reader(Protocol):
    """What the lines are written to."""

    @property
    def gone(self) -> bool:
        """Whether nothing reads them any more."""

    def write(self, line: str) -> None:
        """Write one line, at once."""


def watch(
    settings: Settings,
    progress: Progress,
    reader: Reader,
    timeout: float = 120,
    up: Callable[[], Report[object]] | None = None,
    sensor: Sensor | None = None,
) -> Report[Nothing]:
    """Catch up with what changed before, then apply each change, until interrupted or the reader is gone.

    `up` makes the instance first; without it there has to be one. The lock is held only while something is applied.
    Nothing is stopped at the end: what is being applied then is applied to its end. Raises `interrupted` if that is
    interrupted too.
    """
    sensor = sensor or Sensor()
    opened = look(settings)
    if up is None:
        require_up(opened.instance, opened.engine.observe())
    watching = _Watching(settings, progress, reader, timeout, sensor, watched(opened, settings))
    # Before anything is read, so that what changes while it is applied is seen too.
    sensor.aim(watching.watched)
    try:
        watching.begin(up)
        # Ctrl-C is how it ends.
        with contextlib.suppress(KeyboardInterrupt):
            watching.announce()
            while not (reader.gone or watching.ended):
                watching.step()
    finally:
        sensor.close()
    return Report("watch", "", Nothing())


class _Watching:
    """The state of one `watch`. `ended`: it was to end while something was applied, which it now is."""

    def __init__(
        self, settings: Settings, progress: Progress, reader: Reader, timeout: float, sensor: Sensor, places: Watched
    ) -> None:
        self.watched = places
        self._settings = settings
        self._progress = progress
        self._reader = reader
        self._timeout = timeout
        self._sensor = sensor
        self.ended = False
        self._last = Reaction()
        self._first = False
        self._again: dict[Path, int] = {}
        self._ignored: set[Path] = set()
        self._left: set[Path] = set()

    def begin(self, up: Callable[[], Report[object]] | None) -> None:
        """Make the instance, or catch up with what changed before."""
        if up is None:
            self._last = Reaction(behind=True)
            self._apply(Changes())
        else:
            try:
                self._reader.write(up().text)
            except StackError as error:
                if not error.component and error.code != "build-failed":
                    raise
                self._last, self._first = Reaction(behind=True, failed=True), True
                said = "".join(f"  | {line}\n" for line in error.output.splitlines())
                self._reader.write(f"{said}{error.message} ({error.code}); the next change tries again")
            self._look_again()

    def announce(self) -> None:
        """Say that it watches, unless it is to end already."""
        if not self.ended:
            self._reader.write("watching for changes; Ctrl-C ends this, and everything runs on")

    def step(self) -> None:
        """Wait for a change, and apply it."""
        began = time.monotonic()
        paths = self._left or self._sensor.wait(lambda: self._reader.gone)
        during = time.monotonic() - began < _AT_ONCE
        self._left = set()
        changes = self.watched.changes(paths, self._ignored)
        if not changes:
            # A folder that is new has to be watched too.
            self._left = self._aim() if any(path.is_dir() or not path.exists() for path in paths) else set()
            return
        self._count(changes, during)
        self._apply(changes)

    def _apply(self, changes: Changes) -> None:
        try:
            with finishing("the change is applied") as signals:
                reaction = react(self._settings, self._progress, changes, self._last, self._first, self._timeout)
        except KeyboardInterrupt as interrupt:
            raise Interrupted("a change is not applied to its end", "`stackctl up` applies the rest") from interrupt
        self.ended = bool(signals)
        self._last = reaction
        self._first = self._first and reaction.behind
        if reaction.line:
            self._reader.write(reaction.line)
        self.watched = reaction.watched or self.watched
        self._left = self._aim()

    def _look_again(self) -> None:
        self.watched = watched(look(self._settings), self._settings)
        self._left = self._aim()

    def _aim(self) -> set[Path]:
        """Watch what is there now. Return what changed meanwhile."""
        return self._sensor.aim(self.watched)

    def _count(self, changes: Changes, during: bool) -> None:
        """Leave out from now on what changed each of the last times while the change before was being applied."""
        self._again = {path: self._again.get(path, 0) + 1 for path in changes.files} if during else {}
        restless = {path for path, times in self._again.items() if times >= _MOST_AGAIN}
        for path in sorted(restless.difference(self.watched.declaration)):
            self._ignored.add(path)
            self._reader.write(
                f"{path.name} changes each time that a change is applied, so it is no longer watched: leave it out "
                "with a line in .dockerignore, or with watch=[…]"
            )
