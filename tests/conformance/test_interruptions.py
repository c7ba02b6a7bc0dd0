"""`up`, `down`, `reset` and `snapshot restore` are cut off at any moment, by any signal: the next `up` ends ready, with
the data.

STACKCTL_POINTS says at how many moments each is cut off (2).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.cli import Cli

pytestmark = pytest.mark.long

POINTS = int(os.environ.get("STACKCTL_POINTS", "2"))
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
COMMANDS = {
    "up": ("up",),
    "down": ("down",),
    "reset": ("reset", "--yes"),
    "restore": ("snapshot", "restore", "early", "--yes"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupted_command_loses_nothing(kept: Cli, command: str) -> None:
    cli, count = kept, kept.visit()
    other = {"reset": 1}.get(command)
    if command == "restore":
        cli.ok("snapshot", "save", "early")
        other, count = count + 1, cli.visit()
    _make_ready(cli, command)
    began = time.monotonic()
    cli.ok(*_words(cli, command))
    whole = time.monotonic() - began
    cli.up()
    count = _checked(cli, command, count, other, "uninterrupted")
    for point in range(POINTS):
        number = SIGNALS[point % len(SIGNALS)]
        _make_ready(cli, command)
        moment = whole * (point + 0.5) / POINTS
        _cut_off(cli, command, moment, number)
        cli.up()
        count = _checked(cli, command, count, other, f"{number.name} after {moment:.2f} s of {whole:.2f} s")
    if command == "restore":
        cli.ok("snapshot", "delete", "early", "--yes")


def _words(cli: Cli, command: str) -> tuple[str, ...]:
    return (*COMMANDS[command], *(("--port", str(cli.port)) if command == "up" else ()))


def _make_ready(cli: Cli, command: str) -> None:
    """So that the command has everything to do."""
    if command == "up":
        cli.ok("down")


def _cut_off(cli: Cli, command: str, moment: float, number: signal.Signals) -> None:
    with cli.start(*_words(cli, command)) as running:
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.send_signal(number)
        _, said = running.communicate(timeout=120)
    # Python shows one of its own where it was interrupted before our first line was run.
    assert "Traceback" not in said or "main()" not in said, said
    # Before it began, and after it ended, a signal just ends it.
    assert running.returncode in (0, 130, *(-each for each in SIGNALS)), said


def _checked(cli: Cli, command: str, count: int, other: int | None, when: str) -> int:
    """The number of a visit after it: the next, or `other` where all data is gone or that of the snapshot is there."""
    number = cli.visit()
    right = (count + 1, other)
    assert number in right, f"{command}, {when}: the next visit was number {number}, and {right} would be right"
    assert cli.pending() == [], f"{command}, {when}: the next `up` left something to do"
    return number
