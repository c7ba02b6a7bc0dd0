"""Single flight: those who want the same thing at the same time share one call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    """One call, and its outcome once it has ended.

    Those who wait pass its lock on to each other: a future would cost each call twice as much, and make whoever ends
    it wake them all.
    """

    __slots__ = ("_error", "_result", "_under_way")

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._result: list[T] = []
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def run(self, call: Callable[[], T]) -> None:
        """Make the call. Its outcome is told by `result`."""
        try:
            self._result.append(call())
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        self._under_way.release()

    def wait(self) -> None:
        with self._under_way:
            return

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]


class Flights(Generic[T]):
    """Runs at most one call a key at a time. Those who come meanwhile share the next one.

    Nobody is given the result of a call that began before they asked: it could lack what was committed in between,
    even a visit that the same client was just told of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Flight[T]] = {}
        self._waiting: dict[str, _Flight[T]] = {}

    def share(self, key: str, call: Callable[[], T]) -> T:
        """The result of a call that begins from now on, by this thread or another; raises what it raised."""
        with self._lock:
            flight = self._waiting.get(key)
            joins = flight is not None
            if flight is None:
                ahead, flight = self._running.get(key), _Flight[T]()
                (self._waiting if ahead else self._running)[key] = flight
        if joins:
            flight.wait()
            return flight.result()
        flight.run(lambda: self._in_turn(key, ahead, call))
        self._remove(key, flight)
        flight.end()
        return flight.result()

    def _in_turn(self, key: str, ahead: _Flight[T] | None, call: Callable[[], T]) -> T:
        if ahead is not None:
            ahead.wait()
            with self._lock:
                self._running[key] = self._waiting.pop(key)
        return call()

    def _remove(self, key: str, flight: _Flight[T]) -> None:
        """From where it is: also one whose turn never came, because its thread was interrupted."""
        with self._lock:
            for flights in (self._running, self._waiting):
                if flights.get(key) is flight:
                    del flights[key]
