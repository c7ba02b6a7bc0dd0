"""Single flight: those who want the same thing at the same time share one call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Runs at most one call a key at a time. Those who come meanwhile share the next one.

    Nobody is given the result of a call that began before they asked: it could lack what was committed in between,
    even a visit that the same client was just told of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[T]] = {}
        self._waiting: dict[str, Future[T]] = {}

    def share(self, key: str, call: Callable[[], T]) -> T:
        """The result of a call that begins from now on, by this thread or another; raises what it raised."""
        with self._lock:
            joined = self._waiting.get(key)
            if joined is None:
                ahead, mine = self._running.get(key), Future[T]()
                (self._waiting if ahead else self._running)[key] = mine
        if joined is not None:
            return joined.result()
        if ahead is not None:
            self._take_turn(key, ahead)
        return self._run(key, mine, call)

    def _take_turn(self, key: str, ahead: Future[T]) -> None:
        ahead.exception()  # waits for its end, however it ends
        with self._lock:
            self._running[key] = self._waiting.pop(key)

    def _run(self, key: str, mine: Future[T], call: Callable[[], T]) -> T:
        try:
            result = call()
        except BaseException as error:
            self._end(key)
            mine.set_exception(error)
            raise
        self._end(key)
        mine.set_result(result)
        return result

    def _end(self, key: str) -> None:
        with self._lock:
            del self._running[key]
