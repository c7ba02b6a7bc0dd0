"""The first signal that is to end a command waits for what is being done; the second does not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from stack.workflow.finishing import finishing


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[int]]:
    """The handlers of stackctl, which raise `KeyboardInterrupt`; gives the numbers of the signals that they saw."""
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_waits(number: signal.Signals, handlers: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    done = []
    with finishing("it is applied") as came:
        signal.raise_signal(number)
        done.append("to its end")
    assert (done, came, handlers) == (["to its end"], [number], [number])
    told = "\nthis ends once it is applied; Ctrl-C again ends it at once\n"
    assert capfd.readouterr().err == (told if number == signal.SIGINT else "")


def test_the_second_signal_does_not_wait(handlers: list[int]) -> None:
    def do() -> None:
        with finishing("it is applied"):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("it went on")

    with pytest.raises(KeyboardInterrupt):
        do()
    assert handlers == [signal.SIGINT, signal.SIGTERM]


def test_signals_are_handled_as_before_at_the_end() -> None:
    with finishing("it is applied"):
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with finishing("it is applied") as came:
        signal.raise_signal(signal.SIGHUP)
    assert came == []
