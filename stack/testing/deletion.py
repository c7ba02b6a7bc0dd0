"""Delete an instance of a run of tests once nothing uses it any more. It runs as a process: `python -m` with its name.

Its input ends with the process that started it, however that ends. Then, unless another process of the run holds the
lock, the instance is deleted.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO

from stack.testing.locking import lock_file

# A process that was killed gives its pipes and its locks back one after the other.
_ENDED_WITHIN = 3.0
_POLL = 0.02


def main(name: str, arguments: list[str]) -> int:
    """Wait for the end of the input, and return the exit code of `reset`."""
    sys.stdin.read()
    path = lock_file(name)
    with path.open("a") as held:
        if not _locked(held):
            return 0
        command = [sys.executable, "-m", "stackctl", *arguments, "reset", "--yes", "--no-snapshot"]
        # What it says goes to a file: the reader of a pipe may have been killed.
        with tempfile.TemporaryFile("w+") as said:
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, check=False
            )
            path.unlink(missing_ok=True)
            if ended.returncode:
                said.seek(0)
                sys.stdout.write(said.read())
        return ended.returncode


def _locked(held: IO[str]) -> bool:
    """Lock a file for this process alone, unless another still holds it after a while."""
    deadline, pause = time.monotonic() + _ENDED_WITHIN, threading.Event()
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        pause.wait(_POLL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
