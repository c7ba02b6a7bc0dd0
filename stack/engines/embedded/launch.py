"""Start the program of a component: a script that supervisord runs, and that the program then replaces by an exec.

    launch.py --run FILE [--reach HOST:PORT …] --folder FOLDER [--variables FILE --version TEXT] [NAME=VALUE …]
        -- PROGRAM WORD…

Add the start to FILE, the start log; wait until each HOST:PORT, which the component uses, accepts connections; run
PROGRAM in FOLDER with these variables and no others. Those with secrets and parameters are in a file, as a JSON object,
because every user sees the words of a command; TEXT is another one if more of them changes than a secret. The script
needs only Python, so that any user can run it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

# How long a start waits for what the component uses. Many apps, like the bundled service, could start without it.
_REACH_TIMEOUT = 30.0
# The variable that marks all processes of a component, also those in the background: the path of its start log.
MARK = "STACKCTL_RUN"
_PROC = "/proc"
_LINE_ENDS = {"n": "\n", "r": "\r"}


def main(arguments: list[str]) -> None:
    words = [_restored(word) for word in arguments]
    cut = words.index("--")
    import argparse  # only here: other modules import this one

    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--reach", action="append", default=[])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--variables", dest="file")
    parser.add_argument("--version")
    parser.add_argument("variables", nargs="*")
    options = parser.parse_intermixed_args(words[:cut])
    os.umask(0o077)
    note_start(options.run)
    end_marked(options.run)
    for address in options.reach:
        _await(address)
    os.chdir(options.folder)
    variables = dict(variable.split("=", 1) for variable in options.variables)
    become(words[cut + 1 :], variables | given_variables(options.file) | {MARK: options.run})


def _restored(word: str) -> str:
    """Undo the escapes of `render.quote`."""
    return re.sub(r"\\(.)", lambda found: _LINE_ENDS.get(found[1], found[1]), word)


def given_variables(path: str | None) -> dict[str, str]:
    """Read the variables with secrets and parameters; there are none without a file."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        # No message of the file's own: it may quote a secret.
        sys.exit(f"stackctl: {path}, with the variables of the program, can't be read; run `stackctl up`")


def note_start(path: str) -> None:
    """Add a line with our pid, the time and the end of the component's log; lock the file until this process ends.

    A lock of fcntl survives an exec, is not inherited by child processes, and names the pid of its owner. So the pid
    that runs is certain, even without the supervisord that started it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("stackctl: it runs already, started by a supervisord that is gone")
    os.write(descriptor, f"{os.getpid()} {time.time():.6f} {_end_of_log(path)}\n".encode())
    os.set_inheritable(descriptor, True)


def end_marked(run: str) -> None:
    """Kill what earlier runs of a component left running, as the end of a container ends all of its processes."""
    for process, marked in marked_processes():
        if marked == run:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def marked_processes() -> Iterator[tuple[int, str]]:
    """Yield each visible process of a component, with the path of its start log; works on Linux."""
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
    """Return the inode and size of HOME/logs/NAME.log, for HOME/runs/NAME: the log of earlier runs ends there."""
    home, name = os.path.dirname(os.path.dirname(run)), os.path.basename(run)
    try:
        found = os.stat(os.path.join(home, "logs", f"{name}.log"))
    except OSError:
        return "0 0"
    return f"{found.st_ino} {found.st_size}"


def _await(address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _REACH_TIMEOUT
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            pause.wait(0.02)
        else:
            return
    print(f"stackctl: nothing answers at {address} after {_REACH_TIMEOUT:g} s; starting without it", flush=True)  # noqa: T201 - the log


def become(command: list[str], environment: dict[str, str]) -> None:
    """Replace this process by a program, found on the PATH of `environment`; exit as a shell does if there is none."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec passes that on
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
