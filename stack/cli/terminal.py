"""Read from and write to the terminal: output, errors, colour, progress, questions."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO

from stack.errors import StackError, UsageError
from stack.report import Style


class Output:
    """Standard output, line by line; a reader that has gone, as in `stackctl logs | head`, is no error.

    See `stack.operations.events.Reader`.
    """

    def __init__(self) -> None:
        self._refused = False

    @property
    def gone(self) -> bool:
        """Ask the kernel whether the reader has closed its end: a command that writes nothing would not notice."""
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return self._refused or bool(poll.poll(0))

    def write(self, line: str) -> None:
        try:
            print(_printable(line), flush=True)
        except BrokenPipeError:
            self._refused = True
            # Python flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Lines:
    """Progress as lines on standard error, one a change, with the seconds since the start."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._shown: dict[str, str] = {}

    def step(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", file=self._stream, flush=True)

    def states(self, states: Mapping[str, str]) -> None:
        for name, state in states.items():
            if self._shown.get(name) != state:
                self._shown[name] = state
                self.step(f"{name}: {state}")


def _printable(text: str) -> str:
    """The text with an escape for what standard output has no way to write, as standard error does it by itself."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def write(text: str) -> None:
    if text:
        Output().write(text)


def print_error(error: StackError) -> None:
    if error.output:
        print("\n".join(f"  | {line}" for line in error.output.splitlines()), file=sys.stderr)
    print(f"{_paint('Error', '31')} ({error.code}): {error.message}", file=sys.stderr)
    if error.hint:
        print(f"{_paint('Hint', '36')}: {error.hint}", file=sys.stderr)


def _paint(text: str, colour: str) -> str:
    return Style(_has_colour(sys.stderr)).paint(text, f"1;{colour}")


def style() -> Style:
    """Give the style of standard output now."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return Style(_has_colour(sys.stdout), width)


def _has_colour(stream: IO[str]) -> bool:
    """Only on a terminal, and not if the user said no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def confirmation(command: str, yes: bool, verb: str = "Delete") -> Callable[[str], bool]:
    """Give a function that shows what will be done and asks, unless `yes`."""

    def confirm(announcement: str) -> bool:
        print(announcement, file=sys.stderr)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                f"{command} asks before it {verb.lower()}s, and there is no terminal to answer on", "say --yes"
            )
        print(f"{verb} it? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return confirm
