"""Read a stack file: run it and take the `stack` that it defines."""

from __future__ import annotations

import ast
import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from stack.errors import DeclarationError, ExitCode, StackError
from stack.model import Stack

_EXAMPLE = "see `stackctl --help` for a stack file to start from"


class FileError(StackError):
    """A stack file that cannot be used; the message begins with the file and, where there is one, the line."""

    exit_code = ExitCode.USAGE


def load_stack(file: Path) -> Stack:
    """Run the Python in `file` and return its `stack`.

    Raises `FileError` (codes `file-missing`, `file-invalid`) and `DeclarationError`, each naming the line.
    """
    source = _read(file)
    namespace = _run(file, source)
    if "stack" not in namespace:
        raise FileError("file-invalid", f"{file}: defines no `stack`", f"add `stack = Stack(…)`; {_EXAMPLE}")
    stack = namespace["stack"]
    if not isinstance(stack, Stack):
        line = _line_of_assignment(source)
        raise FileError(
            "file-invalid",
            f"{file}:{line}: `stack` is of type {type(stack).__name__}, not Stack",
            f"write `stack = Stack(NAME, [COMPONENT, …])`; {_EXAMPLE}",
        )
    return stack


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileError("file-missing", f"{file}: there is no such file", "check the path after --file") from None
    except IsADirectoryError:
        raise FileError("file-missing", f"{file}: is a folder", "name the Python file in it") from None
    except OSError as error:
        raise FileError("file-missing", f"{file}: {error.strerror}", "check the permissions of the file") from error
    except UnicodeDecodeError as error:
        raise FileError("file-invalid", f"{file}: is not UTF-8 text", "name a Python file") from error


def _run(file: Path, source: str) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "__stack__", "__file__": str(file)}
    try:
        code = compile(source, str(file), "exec")
        with _as_script(file), contextlib.redirect_stdout(sys.stderr):
            exec(code, namespace)  # noqa: S102 - a stack file is the user's own Python
    except DeclarationError as error:
        error.message = f"{_place(file, error)}: {error.message}"
        raise
    except SyntaxError as error:
        place = f"{error.filename or file}:{error.lineno}"
        raise FileError("file-invalid", f"{place}: {error.msg}", "mend the syntax at this line") from error
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        hint = "mend the file at this line; --debug shows the whole traceback"
        raise FileError("file-invalid", f"{_place(file, error)}: {what}", hint) from error
    return namespace


@contextlib.contextmanager
def _as_script(file: Path) -> Iterator[None]:
    """Let the file import its neighbours, as Python does for a script."""
    before = list(sys.path)
    sys.path.insert(0, str(file.parent))
    try:
        yield
    finally:
        sys.path[:] = before


def _place(file: Path, error: BaseException) -> str:
    """`file:line` of the last line of the file itself that was running."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _line_of_assignment(source: str) -> int:
    """The line at which the name `stack` gets its last value."""
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id == "stack" and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.alias) and (node.asname or node.name) == "stack")
        or (isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == "stack")
    ]
    return max(lines, default=1)
