"""A circuit breaker: what is broken is not asked by every request, only by one an interval."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row; while open it lets one attempt an `interval` (seconds) through.

    `clock` gives seconds that never go back. `on_change` is told once a change whether the breaker is now open, and
    why. Everybody who was allowed reports `succeeded` or `failed`. Safe to share between threads.

    Whoever does not want requests to make the attempts looks at `is_open` before them and has a `Probe` make them.
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
        """Whether to try. While open, a True is an attempt: nobody else gets one for an interval."""
        if not self._open:
            return True
        with self._lock:
            now = self._clock()
            due = not self._open or now - self._last_attempt >= self._interval
            if due:
                self._last_attempt = now
            return due

    def succeeded(self) -> None:
        # Almost always nothing changes, and then nobody waits for the lock.
        if not self._failures:
            return
        with self._lock:
            self._failures = 0
            self._set(False, "")

    def failed(self, reason: str, at_once: bool = False) -> bool:
        """Whether this opened it: as the last of enough failures, or `at_once`, as one that nobody should repeat."""
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
