"""The files of the folder that an app is made from.

What `.dockerignore` leaves out does not count, by Docker's rules
(https://docs.docker.com/build/concepts/context/#dockerignore-files).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.applied import Files, FileState

# Made by running it, by Python and by git.
_NEVER = frozenset({"__pycache__", ".git"})
_TOKENS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def read_files(folder: Path, known: Files) -> dict[str, FileState]:
    """The files of a folder now. One of the same size and time as in `known` is not read again, as git does it."""
    return {path: _state(folder / path, known.get(path)) for path in sorted(_paths(folder, _Ignored.read(folder)))}


def _state(path: Path, known: FileState | None) -> FileState:
    found = path.lstat()
    seen = (found.st_size, found.st_mtime_ns, found.st_mode)
    if known is not None and (known.size, known.changed, known.mode) == seen:
        return known
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return FileState(*seen, hashlib.sha256(content).hexdigest())


def _paths(folder: Path, ignored: _Ignored) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if name not in _NEVER]
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*files, *linked):
            path = (here / name).as_posix()
            if not ignored.covers(path) and (Path(parent) / name).lstat().st_mode & 0o170000 in (0o100000, 0o120000):
                yield path


@dataclass(frozen=True)
class _Ignored:
    """The rules of a `.dockerignore`, in order: the last that fits decides; True leaves a path out."""

    rules: Sequence[tuple[re.Pattern[str], bool]]

    @classmethod
    def read(cls, folder: Path) -> _Ignored:
        try:
            text = (folder / ".dockerignore").read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(())
        lines = [line.strip() for line in text.splitlines()]
        return cls([_rule(line) for line in lines if line and not line.startswith("#")])

    def covers(self, path: str) -> bool:
        if path in ("Dockerfile", ".dockerignore"):  # Docker needs both, and reads both
            return False
        decided = [leaves_out for pattern, leaves_out in self.rules if pattern.fullmatch(path)]
        return bool(decided) and decided[-1]


def _rule(line: str) -> tuple[re.Pattern[str], bool]:
    """A pattern fits a path, and everything below it."""
    pattern = line.removeprefix("!").strip().strip("/").removeprefix("./")
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", pattern)
    regex = "".join(_TOKENS.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
    return re.compile(f"{regex}(?:/.*)?"), not line.startswith("!")
