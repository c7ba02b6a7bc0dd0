"""The result of a command: a frozen report, as text for people and a JSON envelope for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from stack.controls import BEYOND_ASCII
from stack.encoding import encoded
from stack.errors import StackError
from stack.frozen import dataclass
from stack.style import PLAIN, Style

SCHEMA = 1
_UNITS = ("bytes", "kB", "MB", "GB", "TB")

Data = TypeVar("Data", covariant=True)
Other = TypeVar("Other")


@dataclass(frozen=True)
class Report(Generic[Data]):
    """The result of one command.

    `data` is for programs, a dataclass of `stack.results`; it becomes JSON. `text` is for people. `exit_code` is
    that of stackctl. `verbatim`: `text` is from or for another program, and is printed unchanged except on a terminal.
    `look` formats the text for a terminal, if it differs there. `streamed`: all there is was written as it came, as
    JSON too. `instance`: that on which the commands in it act, if the user did not name it as such.
    """

    command: str
    text: str
    data: Data
    exit_code: int = 0
    verbatim: bool = False
    look: Callable[[Style], str] | None = None
    streamed: bool = False
    instance: str | None = None

    @classmethod
    def drawn(
        cls, command: str, look: Callable[[Style], str], data: Other, exit_code: int = 0, verbatim: bool = False
    ) -> Report[Other]:
        """Make a report whose text depends on where it is shown."""
        return Report(command, look(PLAIN), data, exit_code, verbatim, look)

    def headed(self, command: str, head: str, data: Other) -> Report[Other]:
        """Return this report as part of another command's, below a heading line."""
        return Report.drawn(command, lambda style: f"{style.wrapped(head)}\n{self.shown(style)}", data)

    def shown(self, style: Style) -> str:
        if self.look is not None:
            return self.look(style)
        return self.text if self.verbatim else style.wrapped(self.text)


def with_note(text: str, note: str) -> str:
    """Return a text with a note below it, if there is one."""
    return f"{text}\n  note: {note}" if note else text


def envelope(report: Report[object]) -> str:
    """Return the JSON envelope of a completed command: `ok` agrees with its exit code."""
    return _json(report.command, ok=report.exit_code == 0, data=report.data, error=None)


def error_envelope(command: str | None, error: StackError) -> str:
    """Return the JSON envelope of a failure; `command` is null if none ran."""
    described = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.output:
        described["output"] = error.output
    return _json(command, ok=False, data={}, error=described)


def _json(command: str | None, *, ok: bool, data: object, error: Mapping[str, str] | None) -> str:
    whole = {"schema": SCHEMA, "command": command, "ok": ok, "data": encoded(data), "error": error}
    return as_json(whole)


def json_line(value: object) -> str:
    """Return a dataclass of `stack.results` as one line of JSON."""
    return as_json(encoded(value))


def as_json(value: object, indent: int | None = None) -> str:
    """Format JSON. Terminal control characters, and bytes of file names that are not UTF-8, become escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub(f"[{BEYOND_ASCII}\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def count(amount: int, noun: str) -> str:
    """Format an amount: `1 row`, `41 rows`."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"


def times(amount: int) -> str:
    """Format a repetition: `once`, `3 times`."""
    return "once" if amount == 1 else f"{amount} times"


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: `42s`, `3m 20s`, `5h 2m`, `3d 4h`."""
    whole = max(0, int(seconds))
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60)]
    first = next((position for position, (_, amount) in enumerate(units) if amount), len(units) - 1)
    return " ".join(f"{amount}{unit}" for unit, amount in units[first : first + 2])


def size(amount: float) -> str:
    """Format a size in powers of 1000: `12 MB`."""
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    raise AssertionError
