"""Read the parameters of a command line: `--set NAME=VALUE`, `NAME=@FILE`, and `NAME=@-` for standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from stack.errors import StackError, UsageError
from stack.settings import Chosen

_WRITTEN = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


def chosen(texts: Iterable[str]) -> dict[str, Chosen]:
    """Raises `UsageError` and `file-unusable`, never with a value."""
    found: dict[str, Chosen] = {}
    for text in texts:
        written = _WRITTEN.fullmatch(text)
        if written is None:
            name = text.partition("=")[0]
            raise UsageError(f"--set: {name!r} is not NAME=VALUE", "for example: --set LOG_LEVEL=debug")
        name, value = written["name"], written["value"]
        if name in found:
            raise UsageError(f"--set {name}: is given twice", "leave one of them out")
        found[name] = Chosen(_read(name, value[1:]), False) if value.startswith("@") else Chosen(value, True)
    return found


def _read(name: str, file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        problem = f"--set {name}: {file} can't be read: {error.strerror}"
        raise StackError("file-unusable", problem, "check its path and permissions") from error
    except UnicodeDecodeError:
        raise StackError("file-unusable", f"--set {name}: {file} is not UTF-8", "save it as UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
