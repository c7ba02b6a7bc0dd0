"""Read a file `.env` by the rules of Docker Compose, so that one file serves both. Pure.

python-dotenv differs from Compose in what matters for secrets: it leaves `$NAME` and `$$` as they are, and skips a line
that it does not understand.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import field

from stack.frozen import dataclass

# The letters that Compose takes; an application may be unable to read some of these names.
_KEY = re.compile(r"(?:export[ \t]+)?([\w.\[\]-]+)[ \t]*(?:([=:])[ \t]*|(?=[\r\n]|$))")
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""", re.DOTALL)
_NAME = r"[A-Za-z_]\w*"
_REFERENCE = rf"\$\$|\$(?P<plain>{_NAME})|(?P<open>\$\{{)"
_IN_TEXT = re.compile(_REFERENCE, re.ASCII)
_IN_QUOTES = re.compile(rf"\\(?P<escaped>.)|{_REFERENCE}", re.ASCII | re.DOTALL)
_IN_BRACES = re.compile(rf"(?P<name>{_NAME})(?:(?P<how>:?[-?+])(?P<other>.*))?", re.ASCII)
_BRACE = re.compile(r"\$\{|\}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "$": "$"}


@dataclass(frozen=True)
class Assignment:
    """A variable of a file, and the line that it begins on."""

    line: int
    name: str
    value: str = field(repr=False)


class Malformed(ValueError):
    """A line that can't be read; the message never has its text, which may be a secret."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def parse(text: str, environment: Mapping[str, str]) -> dict[str, Assignment]:
    """Read all variables of a file; the last one of a name counts.

    `$NAME` is that of the environment, or an earlier line. Raises `Malformed`.
    """
    found: dict[str, Assignment] = {}
    values: dict[str, str] = {}
    for assignment in _assignments(text.removeprefix("\ufeff"), ChainMap(dict(environment), values)):
        found[assignment.name], values[assignment.name] = assignment, assignment.value
    return found


def _assignments(text: str, lookup: Mapping[str, str]) -> Iterator[Assignment]:
    at = 0
    while at < len(text):
        end = _end_of_line(text, at)
        start = at + len(text[at:end]) - len(text[at:end].lstrip())
        if start >= end or text[start] == "#":
            at = end + 1
            continue
        line = text.count("\n", 0, start) + 1
        key = _KEY.match(text, start)
        if key is None:
            raise Malformed(line, "is not NAME=VALUE")
        if key[2] is None:
            # A name alone stands for the variable of the environment.
            if key[1] in lookup:
                yield Assignment(line, key[1], lookup[key[1]])
            at = end + 1
            continue
        if text[key.end() : key.end() + 1] in ("'", '"'):
            quoted = _QUOTED.match(text, key.end())
            if quoted is None:
                raise Malformed(line, "begins a quotation that does not end")
            yield Assignment(line, key[1], _of_quotation(quoted, lookup, line))
            # What follows on its line is read like a line of its own.
            at = quoted.end()
        else:
            raw = text[key.end() : end].partition(" #")[0].strip()
            yield Assignment(line, key[1], _expanded(raw, lookup, line))
            at = end + 1


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _of_quotation(quoted: re.Match[str], lookup: Mapping[str, str], line: int) -> str:
    if quoted[1] is not None:
        return quoted[1].replace(r"\'", "'")
    return _expanded(quoted[2], lookup, line, _IN_QUOTES)


def _expanded(text: str, lookup: Mapping[str, str], line: int, pattern: re.Pattern[str] = _IN_TEXT) -> str:
    parts, at = [], 0
    while found := pattern.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        escaped = found.groupdict().get("escaped")
        if escaped:
            parts.append(_ESCAPES.get(escaped, found[0]))
        elif found["plain"]:
            parts.append(lookup.get(found["plain"], ""))
        elif found["open"]:
            close = _closing(text, at, line)
            parts.append(_of_braces(text[at:close], lookup, line, pattern))
            at = close + 1
        else:
            parts.append("$")
    return "".join([*parts, text[at:]])


def _closing(text: str, at: int, line: int) -> int:
    """Return the position of the brace that ends the `${` before `at`."""
    depth = 1
    for found in _BRACE.finditer(text, at):
        depth += 1 if found[0] == "${" else -1
        if depth == 0:
            return found.start()
    raise Malformed(line, "begins a ${…} that does not end")


def _of_braces(inner: str, lookup: Mapping[str, str], line: int, pattern: re.Pattern[str]) -> str:
    read = _IN_BRACES.fullmatch(inner)
    if read is None:
        raise Malformed(line, "holds a ${…} that can't be read")
    name, how = read["name"], read["how"] or ""
    other = _expanded(read["other"] or "", lookup, line, pattern)
    value = lookup.get(name)
    given = value is not None and (value != "" or not how.startswith(":"))
    if how.endswith("?") and not given:
        raise Malformed(line, f"needs {name}, which has no value")
    if how.endswith("+"):
        return other if given else ""
    return value or "" if given or not how else other
