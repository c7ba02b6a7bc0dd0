"""What stands in a declaration for a value that only the engine knows: references, alone or in a text, and secrets."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from stack.errors import DeclarationError

# Around a reference in a text. Unicode keeps these for a program's own use: no text has them.
_BEGIN, _END = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_BEGIN}([^.{_BEGIN}{_END}]+)\\.([a-z]+)(?::([^{_BEGIN}{_END}]+))?{_END}")
# What is left of one, also after JSON, a URL or `repr`.
TRACE = re.compile(rf"[{_BEGIN}{_END}]|\\ufdd[01]|%EF%B7%9[01]|Reference\(component=", re.IGNORECASE)


class Secret:
    """A value that is never displayed: `repr` and `str` are `***`. `reveal()` returns it, on purpose."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Reference:
    """A fact about a component that only the engine knows.

    `host` and `port` are where it answers, `bind` is the address that it has to listen on; `name` says which port, if
    it is not the first. `volume` is where the component finds its volume called `name`, and `shared` where it finds
    the shared one. Of a process there are also `data`, the folder
    that is its own, `socket`, the folder for its unix sockets, `file`, the path of its file called `name`, `tools`, the
    folder of its programs, and `major`, their version. In an f-string it is a mark from which `deferred` makes a
    `Text`.
    """

    component: str
    field: str
    name: str = dataclasses.field(default="", repr=False)

    def __str__(self) -> str:
        return f"{_BEGIN}{self.component}.{self.field}{f':{self.name}' if self.name else ''}{_END}"

    def __format__(self, how: str) -> str:
        if how:
            problem = f"only the engine knows it, so it can't be formatted as {how!r}"
            raise DeclarationError(f"{self.component}/{self.field}", problem, "write it without a format")
        return str(self)


@dataclass(frozen=True)
class SecretReference(Reference):
    """A secret of a component. A process gets it as the path of a file, never as a value."""

    @property
    def id(self) -> str:
        """The name of its file: `db_password`."""
        return f"{variable_prefix(self.component).lower()}_{self.field}"

    def __str__(self) -> str:
        variable = f"{variable_prefix(self.component)}_{self.field.upper()}_FILE"
        raise DeclarationError(
            f"{self.component}/{self.field}",
            "is a secret, which can't stand in a text: an environment is seen by many",
            f'give it by itself, environment={{"{variable}": {self.component}.{self.field}}}; the app reads that file',
        )


@dataclass(frozen=True)
class Text:
    """Text with references in it that the engine resolves."""

    parts: tuple[str | Reference, ...]


Value = str | Reference | Text
"""A value in an environment or a word of a command: text, or something that the engine resolves."""


def deferred(text: str) -> str | Text:
    """Find the references that a stack file has put into a text.

    Raises `ValueError` for one that is no longer whole, because the text was changed or encoded afterwards.
    """
    literals, *parts = (_MARK.split(text)[position::4] for position in range(4))
    references = [Reference(component, field, name or "") for component, field, name in zip(*parts, strict=True)]
    if any(TRACE.search(literal) for literal in literals):
        raise ValueError("holds a reference that was changed as text; only the engine knows what it stands for")
    if len(literals) == 1:
        return text
    pairs = itertools.zip_longest(literals, references)
    return Text(tuple(part for pair in pairs for part in pair if part))


def references_in(value: Value) -> tuple[Reference, ...]:
    parts = value.parts if isinstance(value, Text) else (value,)
    return tuple(part for part in parts if isinstance(part, Reference))


def resolved(value: Value, resolve: Callable[[Reference], str]) -> str:
    """The text of a value, with what `resolve` knows of each reference."""
    parts = value.parts if isinstance(value, Text) else (value,)
    return "".join(resolve(part) if isinstance(part, Reference) else part for part in parts)


def variable_prefix(name: str) -> str:
    """The start of the variables that a component gives: `orders-db` gives `ORDERS_DB_HOST`."""
    return name.upper().replace("-", "_")
