"""Become a component: a script that supervisord starts, and that ends as the program itself, in the same process.

    launch.py --run FILE [--reach HOST:PORT …] --folder FOLDER [NAME=VALUE …] -- PROGRAM WORD…

It notes the start in FILE, waits until what the component uses accepts connections, and goes on in FOLDER with
these variables and no others. It needs nothing but Python, so that any user can run it anywhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

# The bundled service and many others come up without what they use; for those that don't it waits so long.
_PATIENCE = 30.0
# Marks all that a component starts, also what goes into the background: the path of its file of starts.
MARK = "STACKCTL_RUN"
_PROC = "/proc"
_LINE_ENDS = {"n": "\n", "r": "\r"}


def main(arguments: list[str]) -> None:
    words = [_restored(word) for word in arguments]
    cut = words.index("--")
    import argparse  # the rest of this file is also used by what has no command line to read

    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--reach", action="append", default=[])
    parser.add_argument("--folder", required=True)
    parser.add_argument("variables", nargs="*")
    options = parser.parse_intermixed_args(words[:cut])
    os.umask(0o077)
    note_start(options.run)
    end_marked(options.run)
    for address in options.reach:
        _await(address)
    os.chdir(options.folder)
    variables = dict(variable.split("=", 1) for variable in options.variables)
    become(words[cut + 1 :], variables | {MARK: options.run})


def _restored(word: str) -> str:
    """A word as it was before `render.quote`."""
    return re.sub(r"\\(.)", lambda found: _LINE_ENDS.get(found[1], found[1]), word)


def note_start(path: str) -> None:
    """Add a line with this process, the time and the end of its log, and lock the file for as long as it lives.

    A lock of fcntl stays with a process through an exec, is not inherited by its children, and names its holder: who
    finds the file locked knows the process for certain, whatever became of who started it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("stackctl: it runs already, started by a supervisord that is gone")
    os.write(descriptor, f"{os.getpid()} {time.time():.6f} {_end_of_log(path)}\n".encode())
    os.set_inheritable(descriptor, True)


def end_marked(run: str) -> None:
    """Kill what earlier runs of a component left behind, as the end of a container takes all of its processes along."""
    for process, marked in marked_processes():
        if marked == run:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def marked_processes() -> Iterator[tuple[int, str]]:
    """Each process that can be seen and belongs to a component, with the path of its file of starts; on Linux."""
    mark = f"{MARK}=".encode()
    for name in os.listdir(_PROC) if os.path.isdir(_PROC) else ():
        try:
            with open(f"{_PROC}/{int(name)}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except (ValueError, OSError):
            continue
        for variable in variables:
            if variable.startswith(mark):
                yield int(name), os.fsdecode(variable[len(mark) :])
                break


def _end_of_log(run: str) -> str:
    """The inode and the size of HOME/logs/NAME.log, for HOME/runs/NAME: what earlier runs wrote ends there."""
    home, name = os.path.dirname(os.path.dirname(run)), os.path.basename(run)
    try:
        found = os.stat(os.path.join(home, "logs", f"{name}.log"))
    except OSError:
        return "0 0"
    return f"{found.st_ino} {found.st_size}"


def _await(address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _PATIENCE
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            pause.wait(0.02)
        else:
            return
    print(f"stackctl: nothing answers at {address} after {_PATIENCE:g} s; starting without it", flush=True)  # noqa: T201 - the log


def become(command: list[str], environment: dict[str, str]) -> None:
    """Go on as a program, found on the PATH of `environment`. Exits as a shell does where there is none."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec would pass that on
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - a list of words, no shell
    except FileNotFoundError:
        print(f"stackctl: {command[0]}: not found", file=sys.stderr)  # noqa: T201 - the log
        sys.exit(127)
    except OSError as error:
        print(f"stackctl: {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the log
        sys.exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
