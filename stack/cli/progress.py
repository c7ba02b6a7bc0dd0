"""Show progress: live lines on a terminal, one line per change elsewhere."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Protocol

from stack.controls import visible
from stack.progress import Progress
from stack.style import CYAN, DIM, GREEN, PLAIN, RED, Style, cut, width_of

_TICK = 0.1
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_DONE = ("healthy", "done")
_WELL = (*_DONE, "running")
_BUILDING = "building"
_FAILED = ("exited", "unhealthy", "dead", "restarting")


class Shown(Progress, Protocol):
    """Progress that is shown on a stream."""

    def close(self) -> None:
        """Stop redrawing, so that other output can follow. Later progress begins below it."""


class Lines:
    """Progress as plain lines, one per change, with the seconds since the start."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._shown: dict[str, str] = {}
        self._began = False

    def step(self, text: str) -> None:
        self._began = True
        print(f"{time.monotonic() - self._start:6.1f} s  {visible(text, lines=True)}", file=self._stream, flush=True)

    def announce(self, text: Callable[[Style], str]) -> None:
        self._began = True
        print(visible(text(PLAIN), lines=True), file=self._stream, flush=True)

    def states(self, states: Mapping[str, str]) -> None:
        if not self._began and _nothing_moves(states):
            return
        for name, state in states.items():
            if self._shown.get(name) != state:
                self._shown[name] = state
                self.step(f"{name}: {state}")

    def close(self) -> None:
        """Do nothing: each line is complete."""


class Live:
    """Progress in place: current steps have a spinner and a clock, finished steps stay above."""

    def __init__(self, stream: IO[str], style: Callable[[], Style]) -> None:
        self._region = Region(stream)
        self._style = style
        self._start = time.monotonic()
        self._lock = threading.RLock()
        self._began = False
        self._step: str | None = None
        self._states: dict[str, str] = {}
        self._settled: dict[str, float] = {}
        self._ticker: threading.Thread | None = None
        self._closing = threading.Event()

    def step(self, text: str) -> None:
        with self._lock:
            above = self._leave()
            self._began, self._step = True, text
            self._draw(above)

    def announce(self, text: Callable[[Style], str]) -> None:
        with self._lock:
            self._began = True
            style = self._style()
            shown = visible(text(style), lines=True, styled=style.colour)
            self._draw([*self._leave(), *shown.split("\n"), ""])

    def states(self, states: Mapping[str, str]) -> None:
        with self._lock:
            if not self._began and _nothing_moves(states):
                return
            above = self._leave() if self._step is not None else []
            self._began = True
            # What is built is not there yet.
            gone = {
                name: "removed"
                for name, state in self._states.items()
                if name not in states and not state.startswith(_BUILDING)
            }
            for name, state in (gone | dict(states)).items():
                if self._states.get(name) != state:
                    self._states[name] = state
                    self._settled.pop(name, None)
                    if not _moves(state):
                        self._settled[name] = self._seconds()
            self._draw(above)

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            ticker, self._ticker = self._ticker, None
            if above := self._leave():
                self._region.draw([], [*above, ""])
        if ticker is not None and ticker is not threading.current_thread():
            ticker.join()

    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _leave(self) -> list[str]:
        """Turn the live lines into lines that stay."""
        lines = self._lines(final=True)
        self._step, self._states, self._settled = None, {}, {}
        return lines

    def _draw(self, above: Sequence[str] = ()) -> None:
        self._region.draw(self._lines(), above)
        if self._ticker is None and (self._step is not None or self._states):
            self._closing.clear()
            self._ticker = threading.Thread(target=self._tick, args=(self._closing,), daemon=True)
            self._ticker.start()

    def _tick(self, closing: threading.Event) -> None:
        while not closing.wait(_TICK):
            with self._lock:
                if not closing.is_set() and (self._step is not None or len(self._settled) < len(self._states)):
                    self._region.draw(self._lines())

    def _lines(self, final: bool = False) -> list[str]:
        style, now = self._style(), self._seconds()
        lines = [] if self._step is None else [self._line(style, now, self._step, "" if final else None)]
        shown = self._shown(self._region.rows - 1 - len(lines))
        width = max(map(width_of, shown), default=0)
        for name in shown:
            state = self._states[name]
            text = f"{name}{' ' * (width - width_of(name))}  {state}"
            mark = _mark(style, state) if not _moves(state) else "" if final else None
            lines.append(self._line(style, self._settled.get(name, now), text, mark))
        if len(shown) < len(self._states):
            lines.append(self._sum(style, final))
        return lines

    def _shown(self, room: int) -> list[str]:
        """Return the components that have a line of their own, with what failed first if not all have.

        All have, unless they are more than the screen has lines; then those do that are not well.
        """
        if len(self._states) <= room:
            return [*self._states]
        unwell = [name for name, state in self._states.items() if not state.startswith(_WELL)]
        unwell.sort(key=lambda name: not self._states[name].startswith(_FAILED))
        return unwell[: max(0, room - 1)]

    def _sum(self, style: Style, final: bool) -> str:
        """Say of all components how many are in each state."""
        states = [*self._states.values()]
        words = Counter(map(_word, states))
        text = f"{len(states)} components: {', '.join(f'{number} {word}' for word, number in words.most_common())}"
        if len(self._settled) == len(states):
            worst = next((state for state in states if state.startswith(_FAILED)), _DONE[0])
            return self._line(style, max(self._settled.values()), text, _mark(style, worst))
        return self._line(style, self._seconds(), text, "" if final else None)

    def _line(self, style: Style, seconds: float, text: str, mark: str | None) -> str:
        """Format one line, cut to the terminal's width, with a spinner if `mark` is None."""
        spinner = style.paint(_SPINNER[int(seconds / _TICK) % len(_SPINNER)], CYAN)
        front = f"{seconds:5.1f} s"
        room = (style.width or 80) - width_of(front) - 4
        shown = mark if mark else " " if mark == "" else spinner
        return f"{shown} {style.paint(front, DIM)}  {cut(' '.join(visible(text, lines=True).split(chr(10))), room)}"


def _moves(state: str) -> bool:
    return not state.startswith((*_DONE, *_FAILED, "removed"))


def _nothing_moves(states: Mapping[str, str]) -> bool:
    """Whether everything was healthy at the first observation, so that there is nothing to show."""
    return all(state in _WELL for state in states.values())


def _word(state: str) -> str:
    """Return a state without its number or step: `exited (1)`, `building [2/6] RUN make`."""
    found = re.match(r"[a-z]+(?: [a-z]+)*", state)
    return found[0] if found else state


def _mark(style: Style, state: str) -> str:
    if state.startswith(_DONE):
        return style.paint("✔", GREEN)
    return style.paint("✘", RED) if state.startswith(_FAILED) else style.paint("-", DIM)


def redrawing(stream: IO[str]) -> Callable[[str], None]:
    """Return a function that replaces its previous text with a new one."""
    region = Region(stream)
    return lambda text: region.draw(visible(text, styled=True).split("\n"))


class Region:
    """The last lines of a terminal, redrawn in place. The cursor is never hidden."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._height = 0

    def draw(self, lines: Sequence[str], above: Sequence[str] = ()) -> None:
        """Replace the region with `lines`, below `above`, which scrolls up and stays."""
        # Lines that scrolled off the screen can't be redrawn.
        shown = lines[-max(1, self.rows - 1) :]
        up = f"\x1b[{self._height}A" if self._height else ""
        body = "".join(f"\x1b[2K{line}\n" for line in (*above, *shown))
        self._height = len(shown)
        # In one write, so that nothing flickers.
        self._stream.write(f"\r{up}{body}\x1b[J")
        self._stream.flush()

    @property
    def rows(self) -> int:
        """How many lines the terminal has."""
        try:
            return os.get_terminal_size(self._stream.fileno()).lines or 24
        except OSError:
            return 24
