"""Read a Procfile: the programs of an app, by their names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stack.errors import StackError

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def read_procfile(text: str, path: str) -> Mapping[str, str]:
    """Return the command of each program. Raises `file-unusable` for a line that is none, and for a name twice."""
    programs: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise _wrong(f"{path}:{number}: {line.strip()!r} is not NAME: COMMAND")
        if found[1].lower() in map(str.lower, programs):
            raise _wrong(f"{path}:{number}: {found[1]} is there twice")
        programs[found[1]] = found[2]
    if not programs:
        raise _wrong(f"{path} names no program")
    return programs


def _wrong(problem: str) -> StackError:
    return StackError("file-unusable", f"{problem}; nothing was written", "a line is like `web: gunicorn app:app`")
