"""The checker finds what a wrong counter answers, and accepts whatever a right one can."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history import Kind, Operation, Outcome, violations


def visit(start: float, end: float, number: int, outcome: Outcome = "ok") -> Operation:
    return Operation("visit", "a", start, end, outcome, number)


def read(start: float, end: float, number: int, stale: bool = False) -> Operation:
    return Operation("read", "a", start, end, "ok", number, stale)


RIGHT = [visit(0, 1, 1), visit(2, 3, 2), read(4, 5, 2), visit(4, 6, 3), read(4.5, 5.5, 3), visit(7, 8, 0, "unknown")]


def test_a_right_history_is_accepted_with_and_without_what_is_not_known() -> None:
    assert violations(RIGHT, {"a": 3}) == []
    assert violations(RIGHT, {"a": 4}) == []


@pytest.mark.parametrize(
    ("history", "final", "wrong"),
    [
        (RIGHT, 2, "2 at the end, 3 acknowledged and 4 attempted"),
        (RIGHT, 5, "5 at the end, 3 acknowledged and 4 attempted"),
        ([visit(0, 1, 1), visit(2, 3, 1)], 2, "the number 1 was given 2 times"),
        ([visit(0, 1, 1), read(2, 3, 0)], 1, "read from 2.000 to 3.000 got 0, and from 1 to 1 was possible"),
        ([read(0, 1, 1), visit(2, 3, 1)], 1, "read from 0.000 to 1.000 got 1, and from 0 to 0 was possible"),
        ([visit(0, 1, 2), visit(2, 3, 1)], 2, "visit from 2.000 to 3.000 got 1, and from 3 to 2 was possible"),
        ([visit(0, 1, 1), read(2, 3, 2, stale=True)], 1, "got 2, and from 0 to 1 was possible"),
        ([visit(0, 1, 0, "failed")], 1, "1 at the end, 0 acknowledged and 0 attempted"),
    ],
)
def test_a_lost_a_repeated_and_a_stale_value_are_found(history: list[Operation], final: int, wrong: str) -> None:
    found = violations(history, {"a": final})
    assert any(wrong in each for each in found), found


def test_a_stale_answer_that_says_so_may_lack_visits() -> None:
    assert violations([visit(0, 1, 1), read(2, 3, 0, stale=True)], {"a": 1}) == []


def test_inexact_reads_may_lag_but_not_run_ahead() -> None:
    lacking, ahead = [visit(0, 1, 1), read(2, 3, 0)], [visit(0, 1, 1), read(2, 3, 2)]
    repeated = [visit(0, 1, 1), visit(2, 3, 1)]
    assert violations(lacking, {"a": 1}, exact_reads=False) == []
    assert violations(ahead, {"a": 1}, exact_reads=False)
    assert violations(repeated, {"a": 2}, exact_reads=False)


def test_pages_are_judged_apart() -> None:
    other = Operation("visit", "b", 0, 1, "ok", 1)
    assert violations([visit(0, 1, 1), other], {"a": 1, "b": 1}) == []
    assert violations([visit(0, 1, 1), other], {"a": 1}) == ["b: 0 at the end, 1 acknowledged and 1 attempted"]


KINDS: list[Kind] = ["visit", "read"]


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_a_correct_history_is_accepted_and_a_wrong_count_is_not(seed: int, size: int) -> None:
    """Each operation takes effect at one moment between its start and its end, or, unknown, perhaps never."""
    dice = random.Random(seed)
    effects = sorted(dice.uniform(0, 10) for _ in range(size))
    count, history, acknowledged, attempted = 0, [], 0, 0
    for moment in effects:
        kind = dice.choice(KINDS)
        start, end = moment - dice.uniform(0, 2), moment + dice.uniform(0, 2)
        outcome: Outcome = dice.choice(["ok", "ok", "ok", "unknown", "failed"]) if kind == "visit" else "ok"
        if kind == "visit" and (outcome == "ok" or (outcome == "unknown" and dice.random() < 0.5)):
            count += 1
        acknowledged += kind == "visit" and outcome == "ok"
        attempted += kind == "visit" and outcome != "failed"
        history.append(Operation(kind, "a", start, end, outcome, count))
    assert violations(history, {"a": count}) == []
    assert violations(history, {"a": attempted + 1})
    assert not acknowledged or violations(history, {"a": acknowledged - 1})
