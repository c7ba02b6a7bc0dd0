"""Read a stack file: run it and return the `stack` that it defines."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from stack.errors import DeclarationError, ExitCode, StackError
from stack.model import Stack

# In seconds.
LIMIT = 10.0
_EXAMPLE = "see `stackctl --help` for a stack file to start from"


class FileError(StackError):
    """A stack file that can't be used; the message begins with the file and, if known, the line."""

    exit_code = ExitCode.USAGE


class _TimeOver(BaseException):
    """A stack file ran too long. Not an `Exception`, so that the file does not catch it by accident."""


class _Exited(BaseException):
    """The file called `os._exit`, which would end stackctl without a message."""


def load_stack(file: Path, limit: float = LIMIT) -> Stack:
    """Run the Python in `file` for at most `limit` seconds and return its `stack`.

    Raises `FileError` (codes `file-missing`, `file-invalid`) and `DeclarationError`, each naming the line.
    """
    source = _read(file)
    namespace = _run(file, source, limit)
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
    _check_again(file, stack)
    return stack


def _read(file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise FileError("file-missing", f"{file}: is a pipe or a device", "name a Python file")
        source = file.read_bytes()
    except FileNotFoundError:
        raise FileError("file-missing", f"{file}: there is no such file", "check the path after --file") from None
    except IsADirectoryError:
        raise FileError("file-missing", f"{file}: is a folder", "name the Python file in it") from None
    except OSError as error:
        raise FileError("file-missing", f"{file}: {error.strerror}", "check the path and its permissions") from error
    if b"\0" in source:
        line = source.partition(b"\0")[0].count(b"\n") + 1
        raise FileError("file-invalid", f"{file}:{line}: contains a NUL byte", "name a Python file, which is text")
    return source


def _run(file: Path, source: bytes, limit: float) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "__stack__", "__file__": str(file)}
    try:
        code = compile(source, str(file), "exec")
        with _as_script(file), contextlib.redirect_stdout(sys.stderr), _without_exit(), _limited(limit):
            exec(code, namespace)  # noqa: S102 - a stack file is the user's own Python
    except DeclarationError as error:
        error.message = f"{_place(file, error)}: {error.message}"
        raise
    except SyntaxError as error:
        place = f"{error.filename or file}:{error.lineno}" if error.lineno else _place(file, error)
        raise FileError("file-invalid", f"{place}: {error.msg}", "correct the syntax at this line") from error
    except _TimeOver as error:
        hint = "a stack file only declares; STACKCTL_FILE_TIMEOUT gives it more seconds"
        raise FileError("file-invalid", f"{_place(file, error)}: is still running after {limit:g} s", hint) from error
    except _Exited as error:
        problem = "calls os._exit, which would end stackctl"
        raise FileError("file-invalid", f"{_place(file, error)}: {problem}", "remove the call") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = f"{type(error).__name__}: {_message(error)}".rstrip(": ")
        hint = "correct the file at this line; --debug shows the whole traceback"
        raise FileError("file-invalid", f"{_place(file, error)}: {what}", hint) from error
    return namespace


def _message(error: BaseException) -> str:
    """Return the message of an exception, whose `__str__` may be code of the file and fail."""
    try:
        return str(error)
    except Exception:
        return ""


def _check_again(file: Path, stack: Stack) -> None:
    """Check the stack again: `object.__setattr__` can change a frozen value."""
    try:
        for component in stack.components:
            component.__post_init__()
        Stack(stack.name, stack.components, stack.groups, stack.externals, stack.isolated)
    except DeclarationError as error:
        error.message = f"{file}: {error.message}"
        raise
    except (TypeError, AttributeError, ValueError) as error:
        problem = f"a value of the stack was changed after its construction ({type(error).__name__}: {error})"
        raise FileError("file-invalid", f"{file}: {problem}", "make another value with dataclasses.replace") from error


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `_TimeOver` in the block after this time. Only the main thread can be interrupted like this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_signal: int, _frame: object) -> None:
        raise _TimeOver

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _without_exit() -> Iterator[None]:
    """Make `os._exit` raise here; in a child of this process it ends that child."""
    leave, own = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != own:
            leave(status)
        raise _Exited

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave


@contextlib.contextmanager
def _as_script(file: Path) -> Iterator[None]:
    """Let the file import modules from its directory, as Python does for a script."""
    before = list(sys.path)
    sys.path.insert(0, str(file.parent))
    try:
        yield
    finally:
        sys.path[:] = before


def _place(file: Path, error: BaseException) -> str:
    """Return `file:line` of the innermost frame in the file itself."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _line_of_assignment(source: bytes) -> int:
    """Return the line of the last assignment to the name `stack`."""
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id == "stack" and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.alias) and (node.asname or node.name) == "stack")
        or (isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == "stack")
    ]
    return max(lines, default=1)
