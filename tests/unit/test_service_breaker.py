"""A broken server is tried once per interval until it is back, and by a probe if it could delay requests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from service.breaker import Breaker, RecoveryProbe


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


def test_a_few_failures_leave_it_closed(breaker: Breaker) -> None:
    _fail(breaker, 2)
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(10))


def test_failures_that_are_not_in_a_row_leave_it_closed(breaker: Breaker) -> None:
    for _ in range(10):
        _fail(breaker, 2)
        breaker.succeeded()
    assert not breaker.is_open


def test_after_enough_failures_it_allows_one_attempt_per_interval(breaker: Breaker, clock: Clock) -> None:
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


def test_one_success_closes_it_for_all_callers(breaker: Breaker) -> None:
    _fail(breaker, 3)
    breaker.succeeded()
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(10))
    _fail(breaker, 2)
    assert not breaker.is_open, "failures from before count no more"


def test_a_failure_can_open_it_at_once(breaker: Breaker) -> None:
    assert breaker.failed("no answer", at_once=True)
    assert breaker.is_open


def test_only_the_report_that_opens_it_returns_true(breaker: Breaker) -> None:
    assert [breaker.failed("gone") for _ in range(5)] == [False, False, True, False, False]
    breaker.succeeded()
    assert [breaker.failed("gone", at_once=True) for _ in range(2)] == [True, False]


def test_it_is_known_when_the_next_attempt_is_due(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    assert breaker.due_in == pytest.approx(1.0)
    clock.now += 0.25
    assert breaker.due_in == pytest.approx(0.75)
    clock.now += 5
    assert breaker.due_in == 0
    assert breaker.allows()
    assert breaker.due_in == pytest.approx(1.0)


def test_last_failed_is_true_from_the_first_failure_on(breaker: Breaker) -> None:
    assert not breaker.last_failed
    breaker.failed("gone")
    assert breaker.last_failed
    breaker.succeeded()
    assert not breaker.last_failed


def test_each_change_is_reported_once_with_its_reason(breaker: Breaker, changes: list[tuple[bool, str]]) -> None:
    _fail(breaker, 2)
    breaker.succeeded()
    assert changes == []
    _fail(breaker, 5)
    assert changes == [(True, "gone")]
    breaker.succeeded()
    breaker.succeeded()
    assert changes == [(True, "gone"), (False, "")]


class Attempts:
    """Those of a probe, on a clock that its pauses move. The server answers the attempt `answers_at`."""

    def __init__(self, breaker: Breaker, clock: Clock, answers_at: int) -> None:
        self.at: list[float] = []
        self.probe = RecoveryProbe(breaker, self._attempt, self._pause)
        self.during_attempt: Callable[[], object] = lambda: None
        self.during_pause: Callable[[], object] = lambda: None
        self._breaker = breaker
        self._clock = clock
        self._answers_at = answers_at

    def _attempt(self) -> None:
        self.at.append(self._clock.now)
        self.during_attempt()
        if len(self.at) == self._answers_at:
            self._breaker.succeeded()
        else:
            self._breaker.failed("still gone")

    def _pause(self, seconds: float) -> bool:
        self._clock.now += seconds
        self.during_pause()
        return False


def test_a_probe_asks_once_an_interval_until_there_is_an_answer(breaker: Breaker, clock: Clock) -> None:
    attempts = Attempts(breaker, clock, answers_at=3)
    _fail(breaker, 3)
    attempts.probe.run()
    assert attempts.at == [101.0, 102.0, 103.0]
    assert not breaker.is_open


def test_a_probe_ends_when_another_caller_succeeded(breaker: Breaker, clock: Clock) -> None:
    attempts = Attempts(breaker, clock, answers_at=10)
    attempts.during_attempt = breaker.succeeded
    _fail(breaker, 3)
    attempts.probe.run()
    assert attempts.at == [101.0]


def test_a_probe_makes_no_attempt_that_another_caller_makes(breaker: Breaker, clock: Clock) -> None:
    attempts = Attempts(breaker, clock, answers_at=1)
    others: list[float] = []

    def someone_else() -> None:
        if len(others) < 2 and breaker.allows():
            others.append(clock.now)

    attempts.during_pause = someone_else
    _fail(breaker, 3)
    attempts.probe.run()
    assert (others, attempts.at) == ([101.0, 102.0], [103.0])


def test_a_probe_that_was_ended_asks_no_more(breaker: Breaker, clock: Clock) -> None:
    asked = threading.Event()
    probe = RecoveryProbe(breaker, asked.set)
    _fail(breaker, 3)
    probe.end()
    probe.run()
    assert not asked.is_set()


def test_a_probe_runs_in_a_daemon_thread_beside_its_caller(breaker: Breaker, clock: Clock) -> None:
    ends, threads = threading.Event(), list[threading.Thread]()

    def attempt() -> None:
        threads.append(threading.current_thread())
        ends.wait(10)
        breaker.succeeded()

    _fail(breaker, 3)
    clock.now += 1
    RecoveryProbe(breaker, attempt).start()
    assert breaker.is_open, "nobody waited for the attempt"
    ends.set()
    [probe] = [thread for thread in threading.enumerate() if thread.name == "probe"]
    probe.join(10)
    assert not breaker.is_open
    assert threads == [probe]
    assert probe.daemon
