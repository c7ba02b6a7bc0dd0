"""Read the `${NAME:-default}` that Compose leaves in a text when it is told not to fill them in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stack.frozen import dataclass

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_START = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<plain>{_NAME})|(?P<open>\{{))")
_IN_BRACES = re.compile(rf"(?P<name>{_NAME})(?:(?P<how>:?[-?+])(?P<other>.*))?", re.DOTALL)
_BRACE = re.compile(r"\$\{|\}")


@dataclass(frozen=True)
class Variable:
    """A variable in a text. `default`: what stands in its place without a value; None: it has no default.

    `alternative`: what stands in its place if it has a value, as in `${NAME:+text}`. `required`: Compose refuses to go
    on without a value.
    """

    name: str
    default: Template | None = None
    alternative: Template | None = None
    required: bool = False


Template = tuple[str | Variable, ...]
"""A text with variables in it."""


def parse(text: str) -> Template:
    """Take a text apart. `$$` stands for a dollar; what is no variable stays as it is."""
    return tuple(_joined(_parts(text)))


def _parts(text: str) -> Iterator[str | Variable]:
    at = 0
    while found := _START.search(text, at):
        yield text[at : found.start()]
        at = found.end()
        if found["escaped"]:
            yield "$"
        elif found["plain"]:
            yield Variable(found["plain"])
        else:
            close = _closing(text, at)
            inner = _IN_BRACES.fullmatch(text[at:close]) if close is not None else None
            if close is None or inner is None:
                yield found[0]
                continue
            yield _variable(inner)
            at = close + 1
    yield text[at:]


def _variable(inner: re.Match[str]) -> Variable:
    name, how, other = inner["name"], inner["how"] or "", inner["other"] or ""
    if how.endswith("-"):
        return Variable(name, default=parse(other))
    if how.endswith("+"):
        return Variable(name, default=(), alternative=parse(other))
    return Variable(name, required=how.endswith("?"))


def _closing(text: str, at: int) -> int | None:
    """Return the position of the brace that ends the `${` before `at`."""
    depth = 1
    for found in _BRACE.finditer(text, at):
        depth += 1 if found[0] == "${" else -1
        if depth == 0:
            return found.start()
    return None


def _joined(parts: Iterator[str | Variable]) -> Iterator[str | Variable]:
    """Join texts that follow each other, and leave out empty ones."""
    before = ""
    for part in parts:
        if isinstance(part, str):
            before += part
            continue
        if before:
            yield before
        before = ""
        yield part
    if before:
        yield before


def filled(template: Template, given: Mapping[str, str]) -> str:
    """Return the text with the values of its variables, or their defaults; without both nothing."""
    return "".join(part if isinstance(part, str) else _value(part, given) for part in template)


def _value(variable: Variable, given: Mapping[str, str]) -> str:
    value = given.get(variable.name, "")
    if variable.alternative is not None:
        return filled(variable.alternative, given) if value else ""
    return value or filled(variable.default or (), given)


def variables_in(template: Template) -> tuple[Variable, ...]:
    """Return the variables of a text, those in defaults too."""
    found: list[Variable] = []
    for part in template:
        if isinstance(part, Variable):
            found += [part, *variables_in(part.default or ()), *variables_in(part.alternative or ())]
    return tuple(found)
