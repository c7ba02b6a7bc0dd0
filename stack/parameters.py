"""A parameter: a value that the stack file does not have, like the key of a service or the name of a host."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Self

from stack.calls import check_call
from stack.errors import DeclarationError, StackError
from stack.frozen import dataclass
from stack.urls import part_of

# Around a reference or a parameter in a text. Unicode keeps these for a program's own use: no text has them.
BEGIN, END = "\ufdd0", "\ufdd1"
# Before the name of what is a secret.
HIDING = "!"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN = "STACKCTL_"


@dataclass(frozen=True)
class Parameter:
    """A value that is given for each instance, in `environment` and in texts.

    It is taken from `up --set NAME=VALUE`, the environment of stackctl, the file `.env` beside the stack file, what is
    kept for the instance, or `default`, in this order. Without any, `generate` makes 256 random bits, once; else `up`
    asks for it on a terminal, and fails elsewhere.

    - `secret`: its value is shown nowhere; like any secret it stands in `environment` alone.
    - `default`: text or a number. `generate`: for a secret of the stack's own, like the key that signs sessions.
    - `doc`: one line that says what it is and where to get it, for the question and the error.

    Raises `DeclarationError` for a wrong value.
    """

    name: str
    secret: bool = False
    default: str | int | float | None = None
    generate: bool = False
    doc: str = ""

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DeclarationError("Parameter", f"{self.name!r} is not the name of a variable (like STRIPE_KEY)")
        if self.name.startswith(_OWN):
            raise self._wrong("name", f"begins with {_OWN}, as the variables of stackctl itself do")
        for name in ("secret", "generate"):
            if not isinstance(getattr(self, name), bool):
                raise self._wrong(name, f"{getattr(self, name)!r} is neither True nor False")
        if self.default is not None:
            object.__setattr__(self, "default", self._checked_default(self.default))
        if self.generate and self.default is not None:
            raise self._wrong("generate", "and a default are both given; leave one out")
        if self.generate and not self.secret:
            raise self._wrong("generate", "makes a random value, which is a secret; add secret=True")
        if not isinstance(self.doc, str) or len(self.doc.splitlines()) > 1 or BEGIN in self.doc:
            raise self._wrong("doc", f"{self.doc!r} is not a line of text")

    def _checked_default(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._wrong("default", f"{value!r} is neither text nor a number")
        if BEGIN in str(value):
            raise self._wrong("default", "is a reference or another parameter; it is plain text")
        if problem := problem_of(str(value)):
            raise self._wrong("default", problem)
        return str(value)

    def _wrong(self, field: str, problem: str) -> DeclarationError:
        return DeclarationError(f"{self.name}/{field}", problem)

    def __str__(self) -> str:
        return self.marked()

    def marked(self, part: str = "") -> str:
        """Return what stands for it in a text, or for a part of it if it is a URL."""
        written = base64.b64encode(json.dumps(asdict(self)).encode()).decode()
        return f"{BEGIN}{HIDING if self.hides(part) else ''}${written}{f':{part}' if part else ''}{END}"

    def hides(self, part: str) -> bool:
        """Say whether a part of its value is a secret; the whole is the part without a name."""
        return self.secret and part in ("", "password")

    def __format__(self, how: str) -> str:
        if how:
            raise self._wrong("", f"has its value in an instance alone, so it can't be formatted as {how!r}")
        return str(self)

    @classmethod
    def read(cls, written: str) -> Self:
        """Read what `str` wrote between the marks."""
        return cls(**json.loads(base64.b64decode(written)))


@dataclass(frozen=True)
class Given:
    """The value of a parameter for an instance. `origin` says where it is from: `.env line 7`."""

    value: str = field(repr=False)
    origin: str


def value_of(parameter: Parameter, given: Mapping[str, Given], part: str = "") -> str:
    """Return the value of a parameter, or a part of it if it is a URL. Raises `parameter-missing`."""
    if parameter.name not in given:
        raise StackError(
            "parameter-missing",
            f"the parameter {parameter.name} has no value",
            f"add the line {parameter.name}=VALUE to `.env` beside the stack file",
        )
    value = given[parameter.name].value
    return part_of(value, part) if part else value


@dataclass(frozen=True)
class Needed:
    """A parameter, and the components that need it."""

    parameter: Parameter
    users: tuple[str, ...]


def problem_of(value: str) -> str | None:
    """Say why a text can't be the value of a parameter; never with the text. None if it can."""
    if "\n" in value or "\r" in value:
        return "has several lines; encode it, for example with `base64 -w 0`"
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        return "is not text in UTF-8 without NUL bytes"
    return None


def gathered(needs: Mapping[str, tuple[Parameter, ...]]) -> dict[str, Needed]:
    """Gather what components need, by the names of the parameters.

    Raises `DeclarationError` for two of one name that differ.
    """
    found: dict[str, Needed] = {}
    for user, parameters in needs.items():
        for parameter in parameters:
            known = found.get(parameter.name, Needed(parameter, ()))
            if known.parameter != parameter:
                problem = f"is declared with other settings in {' and '.join(dict.fromkeys([*known.users, user]))}"
                raise DeclarationError(parameter.name, problem, "declare it once, and use that value everywhere")
            found[parameter.name] = Needed(parameter, tuple(dict.fromkeys([*known.users, user])))
    return found
