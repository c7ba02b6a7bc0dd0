"""Add the options of the command line to the commands in a text, so that each acts on the same instance."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from stack.errors import StackError
from stack.frozen import dataclass
from stack.report import Report

_VALUE = r"(?:'[^'`]*'|[^\s'`])+"
_COMMAND = re.compile(rf"`stackctl (?P<options>(?:--\S+ {_VALUE} )*)(?P<rest>[^`]+)`")
# These act on all instances of the machine, or on none.
_WITHOUT_INSTANCE = ("init", "ls", "prune", "schema", "version")
# The fields of a report's data that contain commands to type.
_HINTS = ("hint", "fix")


@dataclass(frozen=True)
class Invocation:
    """The options that select the instance, as typed; None if not given."""

    file: Path | None = None
    instance: str | None = None
    engine: str | None = None
    host: str | None = None

    def text(self, text: str) -> str:
        """Complete each command in backticks, unless it names its own instance."""
        return _COMMAND.sub(self._complete, text) if self._options else text

    def acting_on(self, instance: str | None) -> Invocation:
        """Return the options that select another instance, if one is named."""
        return replace(self, instance=instance) if instance else self

    def error(self, error: StackError) -> StackError:
        other = error.hinting(self.acting_on(error.instance).text(error.hint))
        other.__cause__ = error.__cause__
        return other

    def report(self, report: Report[object]) -> Report[object]:
        """Complete the text of a report, unless it is verbatim, and the hints in its data."""
        own = self.acting_on(report.instance)
        text = report.text if report.verbatim else own.text(report.text)
        look, completed = report.look, None
        if look is not None and not report.verbatim:
            completed = lambda style: own.text(look(replace(style, complete=own.text)))  # noqa: E731
        return replace(report, text=text, data=own._data(report.data), look=completed or look)

    @property
    def _options(self) -> dict[str, str]:
        given = {"--file": self.file, "--instance": self.instance, "--engine": self.engine, "--host": self.host}
        return {name: str(value) for name, value in given.items() if value is not None}

    def _complete(self, found: re.Match[str]) -> str:
        own, rest = found["options"], found["rest"]
        words = rest.split()
        if "--instance" in own.split() or words[0] in _WITHOUT_INSTANCE or "--help" in words:
            return found[0]
        missing = [(name, value) for name, value in self._options.items() if name not in own.split()]
        return f"`stackctl {''.join(f'{name} {shlex.quote(value)} ' for name, value in missing)}{own}{rest}`"

    def _data(self, value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return self.text(value) if name in _HINTS else value
        if isinstance(value, Mapping):
            return {key: self._data(each, str(key)) for key, each in value.items()}
        if isinstance(value, tuple):
            return tuple(self._data(each, name) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{each.name: self._data(getattr(value, each.name), each.name) for each in fields(value)}
            )
        return value


NO_OPTIONS = Invocation()
