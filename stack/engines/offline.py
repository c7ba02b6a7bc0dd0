"""Serve a volume while its component does not run, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from stack.capabilities import Serve, Session
from stack.engines.process import Pipe
from stack.errors import StackError

# Runs a server until standard input closes, however the parent ends, and then stops it without waiting for its
# clients. A shell lets what it starts ignore SIGINT, but a server of PostgreSQL takes it up again; until it does, the
# signal has to be repeated. A server that ends by itself ends the script. What a shell starts in the background reads
# nothing, unless it is told what.
_RUN_WHILE_OPEN = """\
exec 3<&0
"$@" 3<&- &
server=$!
{{ cat <&3 > /dev/null; while kill -{signal} "$server" 2> /dev/null; do sleep 0.1; done; }} &
stopper=$!
wait "$server"
ended=$?
kill "$stopper" 2> /dev/null
exit "$ended"
"""
# Asks some times from there: to get in takes longer than to ask. Not for ever, because what runs in a container
# outlives the client that started it; and from one place no longer, because a process that begins may still enter the
# one in which its programs are reached.
_ASK_SOME_TIMES = 'for _ in 1 2 3 4 5 6 7 8 9 10; do "$@" > /dev/null 2>&1 && exit; sleep 0.05; done; exit 1'
_POLL = 0.1
_START_TIMEOUT = 120.0
# A clean shutdown writes all that is in memory.
_STOP_TIMEOUT = 300.0
_LAST_LINES = 15

Explain = Callable[[Serve, str], StackError]


def run_while_open(serve: Serve) -> str:
    """Return the script that runs its arguments as a server until standard input closes."""
    return _RUN_WHILE_OPEN.format(signal=serve.stop_signal)


@contextlib.contextmanager
def run_offline(
    serve: Serve,
    session: Callable[[int], Session],
    command: Sequence[str],
    environment: Mapping[str, str],
    log: IO[bytes],
    explain: Explain,
) -> Iterator[Session]:
    """Run a server by `command`, which runs `run_while_open`, until the end of the block.

    `session` gets the pid of `command`. The server writes to `log`; `explain` makes an error of its last lines if it
    does not start. It is stopped cleanly: all that was committed is on the disk then.
    """
    with Pipe(command, environment, feed=True, log=log) as running:
        opened = session(running.process)
        if not _becomes_ready(opened, serve, running):
            raise explain(serve, _last_lines(log.name))
        yield opened
        if running.finish(_STOP_TIMEOUT):
            raise explain(serve, _last_lines(log.name))


def _becomes_ready(opened: Session, serve: Serve, running: Pipe) -> bool:
    """Wait until the server answers. Give whether it did, before it ended or the time was over."""
    deadline = time.monotonic() + _START_TIMEOUT
    pause = threading.Event()
    while not running.ended() and time.monotonic() < deadline:
        if _answers(opened, serve, running, deadline):
            return True
        # There is no container yet to ask in.
        pause.wait(_POLL)
    return False


def _answers(opened: Session, serve: Serve, running: Pipe, deadline: float) -> bool:
    with opened.pipe(["sh", "-c", _ASK_SOME_TIMES, "sh", *serve.ready]) as asking:
        try:
            while not running.ended() and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    return asking.finish(_POLL) == 0
        finally:
            asking.end()
    return False


def _last_lines(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return "\n".join(file.read().splitlines()[-_LAST_LINES:])
