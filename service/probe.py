"""Find out in the background when what was given up answers again, so that no request waits to find out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .breaker import Breaker


class Probe:
    """While a breaker is open, makes its attempts in a thread of its own, which ends when it closes.

    `attempt` ends within a bounded time and tells the breaker how it went. `pause` waits so many seconds, and says
    whether `end` was called. A thread is there only while it is needed, so also a process that was forked gets its own.
    """

    def __init__(
        self, breaker: Breaker, attempt: Callable[[], object], pause: Callable[[float], bool] | None = None
    ) -> None:
        self._breaker = breaker
        self._attempt = attempt
        self._ended = threading.Event()
        self._pause = pause or self._ended.wait

    def start(self) -> None:
        """Call it when the breaker has opened. It does not keep the process from ending."""
        threading.Thread(target=self.run, name="probe", daemon=True).start()

    def run(self) -> None:
        """Ends when the breaker is closed."""
        while self._breaker.is_open and not self._pause(self._breaker.due_in):
            if self._breaker.allows():
                self._attempt()

    def end(self) -> None:
        """Make no more attempts."""
        self._ended.set()
