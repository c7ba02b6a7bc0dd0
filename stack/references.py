"""What stands in a declaration for a value that only the engine knows: references and secrets, alone or in a text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Self

from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parameters import BEGIN, END, HIDING, Given, Parameter, value_of

# Before the name of a parameter, in that of the file with its value.
PARAMETER_FILE = "parameter-"
_PARAMETER = r"\$([A-Za-z0-9+/=]+)"
_MARK = re.compile(
    f"{BEGIN}({HIDING}?)(?:{_PARAMETER}(?::([a-z]+))?|([^.{BEGIN}{END}]+)\\.([a-z]+)(?::([^{BEGIN}{END}]+))?){END}"
)
# At the end of a text: a URL that goes on. In one, a secret is percent-encoded.
_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*$")
# What is left of one, also after JSON, a URL or `repr`.
TRACE = re.compile(rf"[{BEGIN}{END}]|\\ufdd[01]|%EF%B7%9[01]|Reference\(component=|Parameter\(name=", re.IGNORECASE)


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

    `host` and `port` are where it answers, `bind` is the address that it has to listen on, or `every` if other machines
    are to reach it; `name` says which port, if it is not the first. `url` is made of these, as `Component.meaning`
    says. `volume` is where the component finds its volume called `name`, and `shared` the shared one. Of a process
    there are also `data`, the folder that is its own, `socket`, the folder for its unix sockets, `file`, the path of
    its file called `name`, `tools`, the folder of its programs, and `major`, their version. In an f-string it is a mark
    from which `deferred` makes a `Text`.
    """

    component: str
    field: str
    name: str = dataclasses.field(default="", repr=False)

    def __str__(self) -> str:
        return f"{BEGIN}{self.component}.{self.field}{f':{self.name}' if self.name else ''}{END}"

    def __format__(self, how: str) -> str:
        if how:
            problem = f"only the engine knows it, so it can't be formatted as {how!r}"
            raise DeclarationError(f"{self.component}/{self.field}", problem, "write it without a format")
        return str(self)


# In the place of a name: that of the component to which the value is given.
_OWN = "@"
BIND = Reference(_OWN, "bind")
"""The address that a component has to listen on, in its own command or environment."""
PORT = Reference(_OWN, "port")
"""The port that a component has to listen on, in its own command or environment: its first."""


@dataclass(frozen=True)
class SecretReference(Reference):
    """A secret of a component. By itself it is the path of its file; a `SecretValue` is what is in that."""

    @property
    def id(self) -> str:
        """The name of its file: `db_password`."""
        return f"{variable_prefix(self.component).lower()}_{self.field}"

    def __str__(self) -> str:
        return super().__str__().replace(BEGIN, BEGIN + HIDING)


@dataclass(frozen=True)
class OfParameter(Reference):
    """What refers to a parameter, or to a part of it, and belongs to no component."""

    parameter: Parameter = dataclasses.field(kw_only=True)
    part: str = dataclasses.field(default="", kw_only=True)

    @classmethod
    def to(cls, parameter: Parameter, part: str = "") -> Self:
        return cls("", parameter.name, parameter=parameter, part=part)

    def value(self, given: Mapping[str, Given]) -> str:
        return value_of(self.parameter, given, self.part)

    def __str__(self) -> str:
        return self.parameter.marked(self.part)


@dataclass(frozen=True)
class ParameterReference(OfParameter):
    """The value of a parameter that is no secret, or such a part of it."""


@dataclass(frozen=True)
class ParameterSecret(OfParameter, SecretReference):
    """A parameter that is a secret, or the password in it."""

    @property
    def id(self) -> str:
        """The name of its file. No secret of a component has a dash in its name."""
        return f"{PARAMETER_FILE}{self.parameter.name}{f'-{self.part}' if self.part else ''}"


@dataclass(frozen=True)
class FileSecret(SecretReference):
    """A variable of a file that a component names in `env_files`; `text` is its value."""

    file: str = dataclasses.field(kw_only=True)
    line: int = dataclasses.field(kw_only=True, compare=False)
    text: str = dataclasses.field(kw_only=True, repr=False)

    @property
    def id(self) -> str:
        """What a plan calls it: no secret that has a file has a space in its name."""
        return f"{self.field} of {self.file}"

    @property
    def origin(self) -> str:
        return f"{self.file} line {self.line}"


@dataclass(frozen=True)
class SecretValue:
    """The value of a secret, in an environment alone. `encoded`: percent-encoded, as a part of a URL."""

    secret: SecretReference
    encoded: bool = False


def hide(value: SecretValue) -> str:
    """Give what is shown in the place of a secret."""
    return "***"


Part = str | Reference | SecretValue


@dataclass(frozen=True)
class Text:
    """Text with references in it that the engine resolves."""

    parts: tuple[Part, ...]


Value = Part | Text
"""A value in an environment or a word of a command: text, or something that the engine resolves."""
Variable = Value | Parameter | int | float
"""What a stack file gives for a variable."""


def deferred(text: str) -> str | Text:
    """Find the references that a stack file has put into a text.

    Raises `ValueError` for one that is no longer whole, because the text was changed or encoded afterwards.
    """
    literals, *marks = (_MARK.split(text)[position::7] for position in range(7))
    if any(TRACE.search(literal) for literal in literals):
        raise ValueError("holds a reference that was changed as text; only the engine knows what it stands for")
    if len(literals) == 1:
        return text
    parts: list[Part] = [literals[0]]
    before = literals[0]
    for literal, secret, written, part, component, field, name in zip(literals[1:], *marks, strict=True):
        if written:
            reference = of_parameter(Parameter.read(written), part or "")
        else:
            reference = (SecretReference if secret else Reference)(component, field, name or "")
        if isinstance(reference, SecretReference):
            parts.append(SecretValue(reference, encoded=_IN_URL.search(before) is not None))
        else:
            parts.append(reference)
        parts.append(literal)
        before += f"{reference.field}{literal}"
    return Text(tuple(part for part in parts if part))


def of_parameter(parameter: Parameter, part: str = "") -> Reference:
    kind = ParameterSecret if parameter.hides(part) else ParameterReference
    return kind.to(parameter, part)


def owned(value: Value, bind: Reference) -> Value:
    """Let BIND and PORT in a value mean the component that has to listen on the address `bind`."""

    def own(part: Part) -> Part:
        if part == BIND:
            return bind
        return dataclasses.replace(bind, field=PORT.field) if part == PORT else part

    return Text(tuple(map(own, value.parts))) if isinstance(value, Text) else own(value)


def parts_of(value: Value) -> tuple[Part, ...]:
    return value.parts if isinstance(value, Text) else (value,)


def references_in(value: Value) -> tuple[Reference, ...]:
    """Return what a value refers to, a secret of which it has the value too."""
    parts = (part.secret if isinstance(part, SecretValue) else part for part in parts_of(value))
    return tuple(part for part in parts if isinstance(part, Reference))


def secrets_in(value: Value) -> tuple[SecretReference, ...]:
    """Return the secrets whose values are in a value."""
    return tuple(part.secret for part in parts_of(value) if isinstance(part, SecretValue))


def is_secret(value: object) -> bool:
    """Say whether a field, as it is given in a stack file, is a secret or has one in its text."""
    if isinstance(value, str):
        return f"{BEGIN}{HIDING}" in value
    if isinstance(value, Parameter):
        return value.secret
    return isinstance(value, SecretReference | SecretValue) or (isinstance(value, Text) and bool(secrets_in(value)))


def parameters_in(value: Value) -> tuple[Parameter, ...]:
    found = (each for each in references_in(value) if isinstance(each, OfParameter))
    return tuple(each.parameter for each in found)


def components_in(value: Value) -> tuple[str, ...]:
    """Name the components that a value refers to."""
    return tuple(dict.fromkeys(each.component for each in references_in(value) if each.component))


def is_parameter(value: Value) -> bool:
    """Say whether a value is a parameter and nothing else, or the path of its file."""
    reference = value.secret if isinstance(value, SecretValue) else value
    return isinstance(reference, OfParameter)


def resolved(value: Value, resolve: Callable[[Reference | SecretValue], str]) -> str:
    """The text of a value, with what `resolve` knows of each reference."""
    return "".join(part if isinstance(part, str) else resolve(part) for part in parts_of(value))


def expanded(value: Value, meaning: Callable[[Reference], Value | None]) -> Value:
    """Put what `meaning` knows in the place of each reference that stands for a text of others, like a URL."""
    if isinstance(value, str):
        return value
    parts: list[Part] = []
    for part in parts_of(value):
        reference = part.secret if isinstance(part, SecretValue) else part
        meant = meaning(reference) if isinstance(reference, Reference) and reference.component else None
        parts += [part] if meant is None else parts_of(meant)
    return parts[0] if len(parts) == 1 else Text(tuple(parts))


def variable_prefix(name: str) -> str:
    """The start of the variables that a component gives: `orders-db` gives `ORDERS_DB_HOST`."""
    return name.upper().replace("-", "_")
