"""Concurrent callers share a call, but never one that began before their own."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.counter import Flights, _Flight


class Started:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.outcome: object = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_until_it_waits(self) -> None:
        """Until it waits for the end of a call: that can't be seen in any other way."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            frame = sys._current_frames().get(self._thread.ident or 0)
            if frame is not None and frame.f_code is _Flight.wait.__code__:
                return
        raise AssertionError("the thread does not wait")

    def result(self) -> object:
        """What it returned or raised."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "the call does not end"
        return self.outcome

    def _run(self) -> None:
        try:
            self.outcome = self._call()
        except ArithmeticError as error:
            self.outcome = error


class Slow:
    """Counts its calls; each waits until it is allowed to end, and returns its number."""

    def __init__(self) -> None:
        self.calls = 0
        self.running = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        self.running.release()
        assert self.may_end.acquire(timeout=20)
        return number


@pytest.fixture
def flights() -> Flights[int]:
    return Flights()


def test_callers_that_arrive_during_a_call_share_the_next_one(flights: Flights[int]) -> None:
    call = Slow()
    first = Started(lambda: flights.share("key", call))
    assert call.running.acquire(timeout=20)
    others = [Started(lambda: flights.share("key", call)) for _ in range(5)]
    for other in others:
        other.wait_until_it_waits()
    call.may_end.release(2)
    assert first.result() == 1, "who came first has the first call"
    assert [other.result() for other in others] == [2] * 5


def test_callers_that_arrive_during_a_shared_call_wait_for_another(flights: Flights[int]) -> None:
    call = Slow()
    callers = []
    for _ in range(3):
        callers.append(Started(lambda: flights.share("key", call)))
        if len(callers) > 1:
            callers[-1].wait_until_it_waits()
            call.may_end.release()
        assert call.running.acquire(timeout=20)
    call.may_end.release()
    assert [caller.result() for caller in callers] == [1, 2, 3]


def test_a_failure_is_shared_and_the_next_call_is_not_kept_from_running(flights: Flights[int]) -> None:
    call = Slow()

    def fail() -> int:
        raise ZeroDivisionError(call())

    callers = [Started(lambda: flights.share("key", fail))]
    assert call.running.acquire(timeout=20)
    callers += [Started(lambda: flights.share("key", fail)) for _ in range(2)]
    for caller in callers[1:]:
        caller.wait_until_it_waits()
    call.may_end.release(2)
    assert [repr(caller.result()) for caller in callers] == [f"ZeroDivisionError({n})" for n in (1, 2, 2)]
    assert flights.share("key", lambda: 7) == 7


def test_keys_do_not_wait_for_each_other(flights: Flights[int]) -> None:
    call = Slow()
    busy = Started(lambda: flights.share("busy", call))
    assert call.running.acquire(timeout=20)
    assert flights.share("free", lambda: 7) == 7
    call.may_end.release()
    assert busy.result() == 1


def test_no_caller_gets_an_older_call_and_no_two_calls_overlap(flights: Flights[int]) -> None:
    ticks = itertools.count()
    running = threading.Semaphore(1)

    def call() -> int:
        assert running.acquire(blocking=False), "two calls for one key at a time"
        began = next(ticks)
        running.release()
        return began

    def ask(_: int) -> bool:
        asked = next(ticks)
        return flights.share("key", call) > asked

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(2000)))
