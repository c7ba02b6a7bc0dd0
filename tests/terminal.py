"""Run `stackctl` on a terminal: type an answer, and see what stands on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli import Cli

_PARTS = re.compile(r"\x1b\]8;;[^\x1b]*\x1b\\|\x1b\[([?\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")


@dataclass
class Screen:
    """What a terminal shows of what is written to it: the few sequences that stackctl uses, and no other.

    `widest` is the longest line that ever stood on it.
    """

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    widest: int = 0

    def write(self, text: str) -> None:
        for part in _PARTS.finditer(text):
            self._apply(part)

    def _apply(self, part: re.Match[str]) -> None:
        match part[0], part[2]:
            case "\r", _:
                self.column = 0
            case "\n", _:
                self.row += 1
                self.lines += [""] * (self.row - len(self.lines) + 1)
            case _, "A":
                self.row -= int(part[1])
                assert self.row >= 0
            case _, "K":
                assert part[1] == "2"
                self.lines[self.row] = ""
            case _, "J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = self.lines[self.row][: self.column]
            case text, None if not text.startswith("\x1b"):
                line = self.lines[self.row]
                self.lines[self.row] = line[: self.column].ljust(self.column) + text + line[self.column + len(text) :]
                self.column += len(text)
                self.widest = max(self.widest, len(self.lines[self.row]))
            case sequence, letter:
                assert letter in ("m", None), f"{sequence!r} is unknown"

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[int, int]]:
    """Both ends of one: that of the screen and keyboard, and that of a program."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    try:
        yield leader, follower
    finally:
        os.close(leader)


@dataclass(frozen=True)
class Typed:
    """How a command ended that was typed on a terminal: all that it wrote, and what stood there last."""

    exit_code: int
    written: str
    screen: Screen


def on_a_terminal(cli: Cli, *words: str, columns: int = 80) -> Typed:
    """Type a command on a terminal of its own and wait for its end."""
    environment = _of_a_terminal(cli.whole_environment)
    with terminal(columns) as (leader, follower):
        command = subprocess.Popen(
            cli.arguments(*words), stdin=follower, stdout=follower, stderr=follower, env=environment, cwd=cli.folder
        )
        os.close(follower)
        written = b"".join(_read(leader)).decode()
        exit_code = command.wait(120)
    screen = Screen()
    screen.write(written)
    return Typed(exit_code, written, screen)


def _of_a_terminal(environment: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in environment.items() if name not in ("CI", "NO_COLOR")}
    return own | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}


def answered(arguments: Sequence[str], answers: Sequence[str], question: str, folder: Path) -> tuple[int, str]:
    """Run a program on a terminal that controls it, and give an answer each time that its question is shown.

    Returns its exit code and all that the terminal showed.
    """
    with terminal() as (leader, follower):
        asking = subprocess.Popen(
            ["setsid", "--ctty", *arguments],
            stdin=follower, stdout=follower, stderr=follower, cwd=folder, env=_of_a_terminal(os.environ),
        )  # fmt: skip
        os.close(follower)
        shown = ""
        for at, answer in enumerate(answers):
            while shown.count(question) <= at:
                shown += os.read(leader, 1024).decode()
            os.write(leader, answer.encode())
        shown += b"".join(_read(leader)).decode()
        return asking.wait(20), shown


def _read(leader: int) -> Iterator[bytes]:
    """All that is written until no program has the terminal open any more, which Linux reports as an error."""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            return
        yield part


@contextmanager
def terminal_that_closes(cli: Cli, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[str], None]]]:
    """A command on a terminal, which is closed at the end, and a function that waits until it shows a text."""
    with terminal() as (leader, follower):
        # It is the terminal that controls the command, so that the kernel tells it of the end.
        command = subprocess.Popen(
            ["setsid", "--ctty", *cli.arguments(*words)],
            stdin=follower, stdout=follower, stderr=follower, env=cli.whole_environment, cwd=cli.folder,
        )  # fmt: skip
        os.close(follower)

        def wait_for(text: str) -> None:
            seen = b""
            for part in _read(leader):
                seen += part
                if text.encode() in seen:
                    return
            raise AssertionError(f"{text!r} was not shown: {seen.decode()}")

        yield command, wait_for


def reset_on_a_terminal(cli: Cli, answer: str) -> int:
    """Type an answer to `reset` on a terminal. Gives its exit code."""
    with terminal() as (leader, follower), subprocess.Popen(
        cli.arguments("reset"), stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=cli.whole_environment, cwd=cli.folder, text=True,
    ) as reset:  # fmt: skip
        os.write(leader, f"{answer}\n".encode())
        _, said = reset.communicate(timeout=120)
        os.close(follower)
    assert "volumes: " in said
    assert str(cli.state) in said
    return reset.returncode
