"""Run an operation and print its report or its error: the only place that does."""

from __future__ import annotations

import time
from collections.abc import Callable

from stack import report as reports
from stack.cli import terminal
from stack.cli.invocation import NO_OPTIONS, Invocation
from stack.cli.progress import Shown
from stack.errors import Interrupted, StackError
from stack.report import Report


def run_and_report(
    operate: Callable[[], Report[object]],
    command: str | None,
    progress: Shown,
    as_json: bool,
    debug: bool,
    invocation: Invocation,
) -> int:
    """Run an operation, print its report or error below its progress, and return the exit code."""
    began = time.monotonic()
    try:
        try:
            report = invocation.report(operate())
        finally:
            progress.close()
    except StackError as error:
        return report_error(error, command, as_json, debug, invocation)
    except KeyboardInterrupt as interrupt:
        interrupted = Interrupted()
        interrupted.__cause__ = interrupt
        return report_error(interrupted, command, as_json, debug)
    except Exception as error:
        return report_error(_bug(error), command, as_json, debug)
    if not as_json:
        terminal.write_report(report, time.monotonic() - began)
    elif not report.streamed:
        terminal.write(reports.envelope(report))
    return report.exit_code


def report_error(
    error: StackError, command: str | None, as_json: bool, debug: bool, invocation: Invocation = NO_OPTIONS
) -> int:
    """Print an error and return its exit code."""
    if debug:
        terminal.print_traceback(error.__cause__ or error)
    error = invocation.error(error)
    if as_json:
        terminal.write(reports.error_envelope(command, error))
    else:
        terminal.print_error(error)
    return int(error.exit_code)


def _bug(cause: Exception) -> StackError:
    what = f"{type(cause).__name__}: {cause}".rstrip(": ")
    error = StackError("bug", f"stackctl itself failed: {what}", "run it again with --debug and report its output")
    error.__cause__ = cause
    return error
