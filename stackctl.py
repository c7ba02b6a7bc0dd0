"""The program: `stack/cli/` has its commands, by topic. Each parses its options and calls one operation."""

from __future__ import annotations

import gc
import os
import signal
import stat
import sys

# Until the imports are done, and after the last output, Ctrl-C ends the program without a traceback.
_PROGRAM = sys.argv[0].endswith(("stackctl", "stackctl.py")) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _PROGRAM:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported stays, and to search it for garbage would take a twentieth of the start.
    gc.disable()

from typing import NoReturn

import typer

from stack.cli.app import program
from stack.cli.outcome import report_error
from stack.errors import ExitCode, UsageError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Errors before a command runs are reported in the same way."""
    argv = sys.argv[1:] if arguments is None else arguments
    own = argv[: argv.index("--")] if "--" in argv else argv
    if _PROGRAM:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.freeze()
        gc.enable()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which `nohup` asks for
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        code = program(argv)(argv, prog_name="stackctl", standalone_mode=False)
    except typer.TyperException as error:
        return report_error(_usage(error), None, "--json" in own, "--debug" in own)
    except (typer.Abort, KeyboardInterrupt):  # the latter while the commands are still being built
        return int(ExitCode.INTERRUPTED)
    finally:
        if _PROGRAM:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code if isinstance(code, int) else int(ExitCode.DONE)


def _usage(error: typer.TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "stackctl"
    return UsageError(error.format_message(), f"`{where} --help` shows the options and arguments")


def _terminate(number: int, frame: object) -> NoReturn:
    """Treat SIGTERM like Ctrl-C: child processes are ended too."""
    raise KeyboardInterrupt


def _hang_up(number: int, frame: object) -> NoReturn:
    """Treat the end of the terminal like Ctrl-C. What is still written there is lost, and is no error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        # Not `isatty`, which is false of a terminal that is gone.
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    _terminate(number, frame)


if __name__ == "__main__":
    sys.exit(main())
