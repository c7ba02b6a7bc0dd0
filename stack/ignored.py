"""Decide which files of a folder are not part of an app's source, by Docker's rules. Pure.

https://docs.docker.com/build/concepts/context/#dockerignore-files says how a line is read. The same text decides what
goes into a build context and what a plan compares.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from stack.frozen import dataclass

# Created by running the app, by its tools and by git; a negated line that names one includes it again.
DEFAULTS = (".git", ".venv", "node_modules", "__pycache__")
# Docker reads these even if they are excluded, and the image changes with them.
_ALWAYS = ("Dockerfile", "Dockerfile.dockerignore", ".dockerignore")
_STATE = "**/.stackctl"
_TOKENS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def combined(text: str, states: Sequence[str] = ()) -> str:
    """Return the text of a `.dockerignore` with the exclusions of stackctl added.

    First come the user's lines and the defaults, so that the user can negate a default. Last, after any negation, come
    the folders that hold the secrets of instances: any `.stackctl`, and `states`, paths relative to the source.
    """
    lines = _lines(text)
    first = next((number for number, line in enumerate(lines) if _brings_back(line)), len(lines))
    rules = [*lines[:first], *(f"**/{name}" for name in DEFAULTS)]
    for line in lines[first:]:
        rules.append(line)
        if line.startswith("!") and not _brings_back(line):
            rules += [f"{_pattern(line)}/**/{name}" for name in DEFAULTS]
    return "\n".join([*rules, _STATE, *map(_exactly, states), ""])


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    return [line for line in lines if line.strip("!").strip() and not line.startswith("#")]


def _brings_back(line: str) -> bool:
    return line.startswith("!") and not set(DEFAULTS).isdisjoint(_pattern(line).split("/"))


def _pattern(line: str) -> str:
    return posixpath.normpath(line.removeprefix("!").strip()).strip("/")


def _exactly(path: str) -> str:
    """Return a pattern for one path, with `?` for characters that are special in a pattern or line."""
    return "/" + re.sub(r"[^\w./-]", "?", path, flags=re.ASCII)


@dataclass(frozen=True)
class Ignored:
    """The rules of a `.dockerignore`, in order: the last match decides; True excludes a path."""

    rules: Sequence[tuple[re.Pattern[str], bool]]
    negations: Sequence[str]

    @classmethod
    def read(cls, text: str) -> Ignored:
        lines = _lines(text)
        negations = [_pattern(line) for line in lines if line.startswith("!")]
        return cls([(_regex(_pattern(line)), not line.startswith("!")) for line in lines], negations)

    def covers(self, path: str) -> bool:
        if path in _ALWAYS:
            return False
        decided = [leaves_out for pattern, leaves_out in self.rules if pattern.fullmatch(path)]
        return bool(decided) and decided[-1]

    def covers_all_of(self, folder: str) -> bool:
        """Whether a folder is excluded, and no rule can include anything in it again."""
        return self.covers(folder) and not any(_reaches(pattern, folder) for pattern in self.negations)


def _reaches(pattern: str, folder: str) -> bool:
    """Whether a pattern may match something below a folder."""
    parts = pattern.split("/")
    for part, name in zip(parts, folder.split("/"), strict=False):
        if "**" in part:
            return True
        if not _regex(part).fullmatch(name):
            return False
    return len(parts) > folder.count("/") + 1


def _regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern, which matches a path and everything below it."""
    return re.compile("".join(_translated(pattern)) + "(?:/.*)?", re.DOTALL)


def _translated(pattern: str) -> Iterator[str]:
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.)", pattern):
        if part.startswith("[") and part.endswith("]"):
            yield part
        else:
            yield _TOKENS.get(part) or re.escape(part[1:] if len(part) == 2 and part[0] == "\\" else part)
