"""A `failover` is killed after each of its steps has begun, and run again: one primary serves, and nothing is lost.

STACKCTL_POINTS says at how many moments it is killed (3). Every second time the node is lost before, and comes back.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress

import pytest

from tests.cli import Cli, Result, eventually
from tests.engine.swarm import Swarm
from tests.judging import judge
from tests.swarm.nodes import all_ready
from tests.swarm.standing import host, nodes_ready, primaries, standing, visiting

pytestmark = [pytest.mark.swarm, pytest.mark.long]

POINTS = int(os.environ.get("STACKCTL_POINTS", "3"))
FAILOVER = ("failover", "db", "--yes")
STEPS = ("given up on", "taking over", "starting on")
LATER = 0.5
"""So many seconds after a step has begun it is killed, and as many more in each round of the steps."""


def test_a_killed_failover_is_finished_by_the_next_one(guarded: Cli, swarm: Swarm) -> None:
    for point in range(POINTS):
        of, step = divmod(point, len(STEPS))
        _kill_one(guarded, swarm, STEPS[step], LATER * (of + 1), node_lost=point % 2 == 1)


def _kill_one(cli: Cli, swarm: Swarm, step: str, later: float, *, node_lost: bool) -> None:
    before, page = standing(cli), f"point{time.time_ns()}"
    old, new = host(swarm, before["node"]), before["standby_node"]
    load = visiting(cli, swarm, page)
    try:
        if node_lost:
            old.kill()
            eventually(lambda: nodes_ready(cli) == (False, True), within=60)
        said = _killed_after(cli, step, later)
        assert len(primaries(swarm, cli)) <= 1, said
        again = cli.run("--json", *FAILOVER)
        assert again.exit_code == 0 or _was_done(again), f"{again}\nafter one that was killed: {said}"
        goal = load.acknowledged() + 20
        eventually(lambda: load.acknowledged() > goal)
        assert primaries(swarm, cli) == [new], said
    finally:
        load.stop()
        if node_lost:
            swarm.revive(old)
    judge(cli, load)
    eventually(lambda: all_ready(swarm), within=60)
    assert primaries(swarm, cli) == [new], "the old primary never serves again"
    cli.up()
    after = standing(cli)
    assert (after["node"], after["protected"]) == (new, True), said
    assert primaries(swarm, cli) == [new]
    judge(cli, load)


def _killed_after(cli: Cli, step: str, later: float) -> str:
    """Kill a failover some seconds after it began a step; return what it had said."""
    with cli.start(*FAILOVER) as running:
        assert running.stderr is not None
        said = ""
        while step not in said and (line := running.stderr.readline()):
            said += line
        with suppress(subprocess.TimeoutExpired):
            running.wait(later)
        running.kill()
    assert step in said, said
    print(f"killed {later:g} s after {step!r}, having said: {said.strip()!r}")
    return said


def _was_done(result: Result) -> bool:
    """Whether the one that was killed had come to its end: the database runs on the other node, with no standby."""
    error = result.error
    return error["code"] == "standby-late" and "has no standby on another node yet" in error["message"]
