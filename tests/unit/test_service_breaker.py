"""A broken server is asked once an interval, and found again."""

from __future__ import annotations

import pytest

from service.breaker import Breaker


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[tuple[bool, str]]:
    return []


@pytest.fixture
def breaker(clock: Clock, changes: list[tuple[bool, str]]) -> Breaker:
    return Breaker(clock, failures=3, interval=1.0, on_change=lambda is_open, why: changes.append((is_open, why)))


def _fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed("gone")


def test_a_few_failures_stop_nobody(breaker: Breaker) -> None:
    _fail(breaker, 2)
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(10))


def test_failures_that_are_not_in_a_row_stop_nobody(breaker: Breaker) -> None:
    for _ in range(10):
        _fail(breaker, 2)
        breaker.succeeded()
    assert not breaker.is_open


def test_after_enough_failures_nobody_tries_for_an_interval_and_then_one(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    assert breaker.is_open
    clock.now += 0.9
    assert not breaker.allows()
    clock.now += 0.1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_an_attempt_that_failed_is_followed_by_one_an_interval_later(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    for _ in range(3):
        clock.now += 1
        assert breaker.allows()
        breaker.failed("still gone")
        assert not breaker.allows()


def test_an_attempt_that_reports_nothing_does_not_block_the_next(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now += 1
    assert breaker.allows()
    clock.now += 1
    assert breaker.allows()


def test_one_success_closes_it_for_everybody(breaker: Breaker) -> None:
    _fail(breaker, 3)
    breaker.succeeded()
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(10))
    _fail(breaker, 2)
    assert not breaker.is_open, "failures from before count no more"


def test_the_last_report_is_told_from_the_first_failure_on(breaker: Breaker) -> None:
    assert not breaker.last_failed
    breaker.failed("gone")
    assert breaker.last_failed
    breaker.succeeded()
    assert not breaker.last_failed


def test_changes_are_told_once_each_with_the_reason(breaker: Breaker, changes: list[tuple[bool, str]]) -> None:
    _fail(breaker, 2)
    breaker.succeeded()
    assert changes == []
    _fail(breaker, 5)
    assert changes == [(True, "gone")]
    breaker.succeeded()
    breaker.succeeded()
    assert changes == [(True, "gone"), (False, "")]
