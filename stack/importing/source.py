"""Write Python as a formatter leaves it: lines of at most 120 characters, one argument a line in a long call. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from stack.frozen import dataclass

WIDTH = 120
_STEP = 4


@dataclass(frozen=True)
class Code:
    """An expression as it is written, `db.url`."""

    text: str


@dataclass(frozen=True)
class Text:
    """Text with expressions in it, an f-string. `parts` are literal texts and expressions."""

    parts: tuple[str | Code, ...]


@dataclass(frozen=True)
class Call:
    """A call: its positional arguments, those with names, and a mapping of more of these."""

    function: str
    arguments: Sequence[object] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    more: str = ""


def text_of(parts: Sequence[str | Code]) -> object:
    """Return the shortest form of a text with expressions in it."""
    joined: list[str | Code] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    if not joined:
        return ""
    return joined[0] if len(joined) == 1 else Text(tuple(joined))


def assigned(name: str, value: object) -> str:
    """Return the lines of an assignment."""
    return f"{name} = {written(value, 0, len(name) + 3)}"


def written(value: object, indent: int, used: int, after: int = 0) -> str:
    """Return a value on one line if it fits: `used` characters stand before it, `after` behind it."""
    line = _flat(value)
    if "\n" not in line and used + len(line) + after <= WIDTH and not _is_script(value):
        return line
    return _exploded(value, indent, line)


def _is_script(value: object) -> bool:
    """Say whether a text of several lines is in a value: it is written line by line."""
    if isinstance(value, str):
        return value.rstrip("\n").count("\n") > 0
    if isinstance(value, Mapping):
        return any(map(_is_script, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_script, value))
    if isinstance(value, Call):
        return any(map(_is_script, (*value.arguments, *value.named.values())))
    return False


def _flat(value: object) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, Text):
        return _formatted(value)
    if isinstance(value, Call):
        named = [f"{name}={_flat(each)}" for name, each in value.named.items()]
        more = [f"**{value.more}"] if value.more else []
        return f"{value.function}({', '.join([*map(_flat, value.arguments), *named, *more])})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return quoted(value) if isinstance(value, str) else repr(value)


def _exploded(value: object, indent: int, line: str) -> str:
    inner = indent + _STEP
    front, end = " " * inner, " " * indent
    if isinstance(value, Call):
        rows = [front + written(each, inner, inner, 1) for each in value.arguments]
        rows += [
            f"{front}{name}={written(each, inner, inner + len(name) + 1, 1)}" for name, each in value.named.items()
        ]
        rows += [f"{front}**{value.more}"] if value.more else []
        return f"{value.function}(\n" + "".join(f"{row},\n" for row in rows) + f"{end})"
    if isinstance(value, Mapping) and value:
        rows = []
        for key, each in value.items():
            name = _flat(key)
            rows.append(f"{front}{name}: {_in_brackets(each, inner, inner + len(name) + 2)}")
        return "{\n" + "".join(f"{row},\n" for row in rows) + f"{end}}}"
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + "".join(f"{front}{_element(each, inner)},\n" for each in value) + f"{end}]"
    return line


def _element(value: object, indent: int) -> str:
    if isinstance(value, str) and _is_script(value) and indent + len(quoted(value)) + 1 > WIDTH:
        return f"\n{' ' * indent}".join(map(quoted, value.splitlines(keepends=True)))
    return written(value, indent, indent, 1)


def _in_brackets(value: object, indent: int, used: int) -> str:
    """Return the value of a mapping; a script stands in brackets, line by line."""
    if isinstance(value, str) and _is_script(value) and used + len(quoted(value)) + 1 > WIDTH:
        front = " " * (indent + _STEP)
        lines = "".join(f"{front}{quoted(line)}\n" for line in value.splitlines(keepends=True))
        return f"(\n{lines}{' ' * indent})"
    return written(value, indent, used, 1)


def quoted(text: str) -> str:
    """Return a text as Python writes it, in the quotation marks that need fewer escapes; double ones if both do."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    return f"{mark}{_escaped(text, mark)}{mark}"


def _escaped(text: str, mark: str) -> str:
    plain = repr(f"{text}\"'")[1:-1].removesuffix("\"\\'")
    # `repr` was made to take single quotation marks, and to escape those.
    plain = re.sub(r"\\(['\"\\])", lambda found: found[0] if found[1] == "\\" else found[1], plain)
    return re.sub(r"\\\\|" + re.escape(mark), lambda found: found[0] if found[0] == "\\\\" else f"\\{mark}", plain)


def _formatted(value: Text) -> str:
    literal = "".join(part for part in value.parts if isinstance(part, str))
    mark = "'" if literal.count('"') > literal.count("'") else '"'
    # Before Python 3.12 no expression in an f-string has its quotation marks.
    other = '"' if mark == "'" else "'"
    written_parts = (
        _escaped(part, mark).replace("{", "{{").replace("}", "}}")
        if isinstance(part, str)
        else f"{{{part.text.replace(mark, other)}}}"
        for part in value.parts
    )
    return f"f{mark}{''.join(written_parts)}{mark}"
