"""A circuit breaker: a dependency that fails is tried once per interval, not by every request."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row; while open it allows one attempt per `interval` (seconds).

    `clock` returns seconds that never go back. `on_change` is called once per change with whether the breaker is now
    open, and why. Every caller that was allowed reports `succeeded` or `failed`. Thread-safe.

    To keep requests from making the attempts, check `is_open` before each and let a `RecoveryProbe` make them.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures: int = 3,
        interval: float = 1.0,
        on_change: Callable[[bool, str], None] = lambda is_open, reason: None,
    ) -> None:
        self._clock = clock
        self._limit = failures
        self._interval = interval
        self._on_change = on_change
        self._lock = threading.Lock()
        self._failures = 0
        self._last_attempt = 0.0
        self._open = False

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def last_failed(self) -> bool:
        """Whether the latest report was a failure: the breaker is open or on its way there."""
        return self._failures > 0

    @property
    def due_in(self) -> float:
        """Seconds until the next attempt, while it is open."""
        return max(0.0, self._last_attempt + self._interval - self._clock())

    def allows(self) -> bool:
        """Whether to try. While open, True is an attempt: no other caller gets one for an interval."""
        if not self._open:
            return True
        with self._lock:
            now = self._clock()
            due = not self._open or now - self._last_attempt >= self._interval
            if due:
                self._last_attempt = now
            return due

    def succeeded(self) -> None:
        # There is almost always nothing to change, and then no thread waits for the lock.
        if not self._failures:
            return
        with self._lock:
            self._failures = 0
            self._set(False, "")

    def failed(self, reason: str, at_once: bool = False) -> bool:
        """Report a failure and return whether it opened the breaker: as the last of enough, or `at_once`."""
        with self._lock:
            self._failures += 1
            opens = not self._open and (at_once or self._failures >= self._limit)
            if opens:
                self._last_attempt = self._clock()
                self._set(True, reason)
            return opens

    def _set(self, is_open: bool, reason: str) -> None:
        if self._open != is_open:
            self._open = is_open
            self._on_change(is_open, reason)


class RecoveryProbe:
    """Makes an open breaker's attempts in a thread of its own, so that no request waits to find out.

    `attempt` ends within a bounded time and reports its outcome to the breaker. `pause` waits for some seconds and
    returns whether `end` was called. The thread exists only while the breaker is open, so each forked process gets its
    own.
    """

    def __init__(
        self, breaker: Breaker, attempt: Callable[[], object], pause: Callable[[float], bool] | None = None
    ) -> None:
        self._breaker = breaker
        self._attempt = attempt
        self._ended = threading.Event()
        self._pause = pause or self._ended.wait

    def start(self) -> None:
        """Start the thread; call it when the breaker has opened. It does not keep the process from ending."""
        threading.Thread(target=self.run, name="probe", daemon=True).start()

    def run(self) -> None:
        """Make attempts until the breaker is closed."""
        while self._breaker.is_open and not self._pause(self._breaker.due_in):
            if self._breaker.allows():
                self._attempt()

    def end(self) -> None:
        """Make no more attempts."""
        self._ended.set()
