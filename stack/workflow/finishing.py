"""Let what is being done come to its end when the command is to end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def finishing(what: str) -> Iterator[list[int]]:
    """Let the first signal that is to end the command wait for the end of the block; the second one ends it at once.

    Yields the list of the signals that came. `what`: what comes to its end, for the terminal on which Ctrl-C was typed.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = before[signal.Signals(number)]
        if len(came) > 1:
            handler(number, frame)
        # It raises; and at the end of the terminal it leads what is written there elsewhere.
        with contextlib.suppress(KeyboardInterrupt):
            handler(number, frame)
        if number == signal.SIGINT:
            _tell(f"\nthis ends once {what}; Ctrl-C again ends it at once\n")

    for number in before:
        signal.signal(number, handle)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    # Not `print`: the signal may have come in the midst of one.
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode())
