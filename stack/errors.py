"""Errors reported to users: one error type, and the exit codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `stackctl`; `exec` and `shell` pass on that of their command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHANGES = 3
    INTERRUPTED = 130


class StackError(Exception):
    """A failure that a user can understand and fix.

    `code` is stable, for programs (`port-taken`); `message` says what happened and why; `hint` says what to type or do
    next; `output` is the output of another program that shows the cause (the last lines of a build or a log).
    `component`: the culprit, if it is one. `instance`: what the commands of `hint` act on, if that is another one than
    the command that failed was told.
    """

    exit_code = ExitCode.FAILED
    component = ""
    instance = ""

    def __init__(self, code: str, message: str, hint: str = "", output: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.output = output

    def hinting(self, hint: str) -> StackError:
        """Return the same failure with another hint."""
        other = StackError(self.code, self.message, hint, self.output)
        other.exit_code, other.component, other.instance = self.exit_code, self.component, self.instance
        return other


class UsageError(StackError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("usage", message, hint)


class Interrupted(StackError):
    """Ctrl-C, or a signal that ends the command in the same way. `left` says what it leaves as it was."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, left: str = "nothing was deleted", hint: str = "run the command again: it carries on") -> None:
        super().__init__("interrupted", f"interrupted; {left}", hint)


class DeclarationError(StackError):
    """A wrong value in a stack. `path` says where: `playground/web/port`."""

    exit_code = ExitCode.USAGE

    def __init__(self, path: str, problem: str, hint: str = "fix this value in the stack file") -> None:
        super().__init__("declaration-invalid", f"{path}: {problem}", hint)
        self.path = path
        self.problem = problem


@contextlib.contextmanager
def acting_on(instance: str) -> Iterator[None]:
    """Have the commands that errors of the block hint at act on an instance that the user did not name as such."""
    try:
        yield
    except StackError as error:
        error.instance = error.instance or instance
        raise
