"""A power cut: every process of an instance ends at once. What was acknowledged is neither lost nor counted twice.

STACKCTL_POINTS says how many cuts there are (3). Their moments are random; STACKCTL_SEED takes those of a run that
failed once more. What the kernel was given it still has: this is not about what a disk loses.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading

import pytest

from tests.cli import Cli, eventually
from tests.embedded.running import Running, kill
from tests.history import violations
from tests.load import Load
from tests.servers import MISSING

pytestmark = [pytest.mark.long, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

CUTS = int(os.environ.get("STACKCTL_POINTS", "3"))
SEED = int(os.environ.get("STACKCTL_SEED") or random.SystemRandom().randrange(2**32))
PAGES = ("homepage", "about")
# The last moment of a cut in seconds: of one while it serves, and of one while it comes up, which takes about as long.
_SERVES, _COMES_UP = 1.0, 2.0


@pytest.fixture(scope="module")
def engine() -> str:
    """The engine that a test's instances are on."""
    return "embedded"


def test_a_power_cut_loses_and_repeats_nothing_acknowledged(cli: Cli) -> None:
    chosen = random.Random(SEED)
    cli.up()
    load = Load(lambda: [cli.port], PAGES, visitors=8, readers=2)
    load.start()
    try:
        for number in range(1, CUTS + 1):
            _go_on(load)
            comes_up = number % 3 == 0
            moment = chosen.uniform(0, _COMES_UP if comes_up else _SERVES)
            when = f"seed {SEED}, cut {number}, {moment:.3f} s after {'up began' if comes_up else 'it was ready'}"
            (_cut_while_it_comes_up if comes_up else _cut_while_it_serves)(cli, moment)
            result = cli.run("up", "--port", str(cli.port))
            assert result.exit_code == 0, f"{when}: {result}"
        _go_on(load)
    finally:
        load.stop()
    # A process that reaches Redis may read what another, which does not yet, could not store: see the README.
    found = violations(load.log, _counts(cli), exact_reads=False)
    assert not found, f"seed {SEED}: {len(found)} impossible of {len(load.log)}, the first: {json.dumps(found[:5])}"
    assert cli.data("inspect", "cache")["agreement"] == "agrees", f"seed {SEED}"
    assert cli.pending() == [], f"seed {SEED}"


def _go_on(load: Load, more: int = 50) -> None:
    goal = load.acknowledged() + more
    eventually(lambda: load.acknowledged() >= goal, every=0.02)


def _counts(cli: Cli) -> dict[str, int]:
    rows = cli.data("inspect", "db", "--query", "SELECT page, visits FROM visit_counter")["rows"]
    return {page: int(visits) for page, visits in rows}


def _cut_while_it_serves(cli: Cli, moment: float) -> None:
    threading.Event().wait(moment)
    _cut(cli)


def _cut_while_it_comes_up(cli: Cli, moment: float) -> None:
    """First off, and then while it recovers from that; the command ends with all else, if it has not ended before."""
    _cut(cli)
    with cli.start("up", "--port", str(cli.port)) as command:
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(moment)
        _cut(cli, command)


def _cut(cli: Cli, command: subprocess.Popen[str] | None = None) -> None:
    """End all processes of the instance, and a command that works on it.

    All are stopped before the first is killed, so that none sees the end of another and reacts to it.
    """
    instance = Running(cli.folder, cli.instance, cli.port)
    stopped: set[int] = set()
    if command:
        _signal_group(command, signal.SIGSTOP)
    while found := set(instance.processes()) - stopped:
        for process in found:
            kill(process, signal.SIGSTOP)
        stopped |= found
    if command:
        _signal_group(command, signal.SIGKILL)
    instance.kill_all()


def _signal_group(command: subprocess.Popen[str], number: signal.Signals) -> None:
    """The command leads a session of its own; what it began to start is in it too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, number)
