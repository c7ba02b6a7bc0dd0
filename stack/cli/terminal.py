"""Read from and write to the terminal: output, errors, colour, progress, questions."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from getpass import getpass
from pathlib import Path
from typing import IO

from stack.cli.progress import Lines, Live, Shown
from stack.controls import visible
from stack.errors import StackError, UsageError
from stack.parameters import Parameter
from stack.report import Report
from stack.style import BOLD, CYAN, PLAIN, RED, Style


class Output:
    """Standard output, line by line. A closed pipe, as in `stackctl logs | head`, is not an error.

    See `stack.commands.events.Reader`.
    """

    def __init__(self) -> None:
        self._refused = False

    @property
    def gone(self) -> bool:
        """Whether the reader closed the pipe, as the kernel reports it even if nothing is written."""
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return self._refused or bool(poll.poll(0))

    def write(self, line: str) -> None:
        try:
            _write_line(line)
        except BrokenPipeError:
            self._refused = True


def write_log_line(line: str | None) -> None:
    """Write a line of a log, of which a terminal gets no control characters. None stands for one that is left out.

    Raises `BrokenPipeError` if the reader closed the pipe, also if there is nothing to write.
    """
    if line is not None:
        _write_line(visible(line, lines=True, styled=True) if sys.stdout.isatty() else line)
    elif Output().gone:
        raise BrokenPipeError


def _write_line(line: str) -> None:
    try:
        print(_printable(line), flush=True)
    except BrokenPipeError:
        # Python flushes once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _printable(text: str) -> str:
    """Escape characters that standard output can't encode, as standard error does by default."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def write(text: str) -> None:
    if text:
        Output().write(text)


def write_report(report: Report[object], seconds: float) -> None:
    """Write the text of a report; `seconds` is the duration of the command."""
    look = replace(style(), seconds=seconds)
    text = report.shown(look)
    if not report.verbatim or sys.stdout.isatty():
        text = visible(text, lines=True, styled=look.colour and report.look is not None)
    write(text)


def print_traceback(error: BaseException) -> None:
    print(visible("".join(traceback.format_exception(error)), lines=True), end="", file=sys.stderr)


def print_error(error: StackError) -> None:
    look = style(sys.stderr)
    message, hint = visible(error.message, lines=True), visible(error.hint, lines=True)
    if error.output:
        print("\n".join(f"  | {line}" for line in visible(error.output, lines=True).splitlines()), file=sys.stderr)
    if error.code == "interrupted" and _moves(sys.stderr):
        # The terminal shows what was typed, `^C`, where the error is going to be.
        print("\r\x1b[2K", end="", file=sys.stderr)
    front = f"Error ({error.code}): "
    message = look.wrapped(message, front, "  ")
    print(message.replace("Error", look.paint("Error", f"{BOLD};{RED}"), 1), file=sys.stderr)
    if hint:
        print(_hint(hint, look).replace("Hint", look.paint("Hint", f"{BOLD};{CYAN}"), 1), file=sys.stderr)


def _hint(hint: str, look: Style) -> str:
    """Format a hint on one line if it fits, else with one line per part."""
    front = "Hint: "
    if look.width is None or len(front + hint) <= look.width:
        return front + hint
    parts = hint.replace("; ", ";\n").split("\n")
    indent = " " * len(front)
    return "\n".join(look.wrapped(part, indent if number else front, indent) for number, part in enumerate(parts))


def style(stream: IO[str] | None = None) -> Style:
    """Return the current style of a stream; the default is standard output."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return PLAIN
    return Style(_has_colour(stream), _columns(stream), str(Path.home()), _has_links())


def progress() -> Shown:
    """Return progress on standard error, live if that is a terminal that can move its cursor."""
    stream = sys.stderr
    if _moves(stream) and stream.encoding.lower().replace("-", "") == "utf8":
        return Live(stream, lambda: style(stream))
    return Lines(stream)


def _moves(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")


def _columns(stream: IO[str]) -> int:
    if (asked := os.environ.get("COLUMNS", "")).isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _has_colour(stream: IO[str]) -> bool:
    """Whether the terminal has colour and the user did not disable it (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _has_links() -> bool:
    """Whether the terminal is known to support hyperlinks; others may print them as text."""
    known = ("VTE_VERSION", "KONSOLE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "DOMTERM")
    programs = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper")
    if os.environ.get("TERM", "").startswith(("screen", "tmux", "dumb")):
        return False
    return any(map(os.environ.get, known)) or os.environ.get("TERM_PROGRAM") in programs


def note(text: str) -> None:
    """Write a remark on standard error."""
    print(style(sys.stderr).wrapped(visible(text, lines=True), "note: "), file=sys.stderr, flush=True)


def ask_for(parameter: Parameter) -> str | None:
    """Ask for the value of a parameter until it can be one; None without a terminal, or at its end."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    about = f" ({parameter.doc})" if parameter.doc else ""
    while True:
        answer = _typed(f"{parameter.name}{visible(about)}: ", parameter.secret)
        if answer is None or answer.strip():
            return answer and answer.strip()


def asking() -> Callable[[str, str, tuple[str, ...]], str] | None:
    """Return a function that asks a question on the terminal until the answer is one of those that there are.

    It takes the question, the answer that an empty line stands for, and the answers (none: any). It is None without a
    terminal.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str, default: str, answers: tuple[str, ...]) -> str:
        listed = f" ({', '.join(answers)})" if answers else ""
        while True:
            typed = _typed(f"{question}{listed} [{visible(default)}]: ", secret=False)
            if typed is None:
                raise StackError("cancelled", "nothing was written", "run it again, or answer with the options of it")
            answer = typed.strip() or default
            if not answers or answer in answers:
                return answer
            print(f"{visible(answer)} is none of these: {', '.join(answers)}", file=sys.stderr)

    return ask


def _typed(question: str, secret: bool) -> str | None:
    """Return the line that answers a question; a secret is not shown. None at the end of the input."""
    if secret:
        try:
            return getpass(question, sys.stderr)
        except EOFError:
            return None
    line = ""
    try:
        print(question, end="", file=sys.stderr, flush=True)
        _wait_for_line()
        line = sys.stdin.readline()
    finally:
        # Ctrl-C and Ctrl-D leave the cursor behind the question.
        if not line.endswith("\n"):
            print(file=sys.stderr)
    return line or None


def _wait_for_line() -> None:
    """Wait until a line was typed, or a signal came.

    Python notices a signal between two of its steps: one that comes after the last of them and before the terminal is
    read would be noticed once the line is typed. https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """
    told, tells = os.pipe()
    os.set_blocking(tells, False)
    before = signal.set_wakeup_fd(tells)
    try:
        select.select([sys.stdin, told], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(tells)
        os.close(told)


def confirmation(command: str, yes: bool, verb: str = "Delete") -> Callable[[str], bool]:
    """Return a function that shows what will be done and asks, unless `yes`."""

    def confirm(announcement: str) -> bool:
        print(style(sys.stderr).wrapped(visible(announcement, lines=True)), file=sys.stderr)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                f"{command} asks before it {verb.lower()}s, and there is no terminal to answer on", "say --yes"
            )
        answer = _typed(f"{verb} it? [y/N] ", secret=False)
        return (answer or "").strip().lower() in ("y", "yes")

    return confirm
