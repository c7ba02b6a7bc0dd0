"""The counter with one, two and three replicas: each visit is counted once, and how many a second there are is printed.

Two cores that carry all nodes, the database and the visitors say nothing of three machines; the ratio says what another
replica costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.cli import ROOT, Cli, eventually
from tests.engine.swarm import Swarm
from tests.judging import judge
from tests.load import Load
from tests.swarm.nodes import nodes_of

pytestmark = [pytest.mark.swarm, pytest.mark.long]

STACK = f"""\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web
db = replace(db, migrations={str(ROOT / "service" / "migrations")!r})
web = replace(web, source={str(ROOT / "service")!r}, replicas=REPLICAS)
stack = Stack("playground", [web, db, cache])
"""
REPLICAS = (1, 2, 3)
RUNS = 3
VISITORS = 12
SECONDS = 5.0


@pytest.fixture
def counter(swarm: Swarm, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path, file=tmp_path / "stackfile.py", engine="swarm")
    yield cli
    assert cli.reset().exit_code == 0


def test_every_replica_counts_each_visit_once(counter: Cli, swarm: Swarm) -> None:
    rates: dict[int, list[float]] = {count: [] for count in REPLICAS}
    for _ in range(RUNS):
        for count, found in rates.items():
            _declare(counter, count)
            found.append(_visits_a_second(counter, swarm, count))
    one = median(rates[1])
    for count, found in rates.items():
        runs = ", ".join(f"{rate:.0f}" for rate in found)
        print(f"{count} replicas: {median(found):.0f} visits a second ({runs}), {median(found) / one:.2f} of one")


def _declare(cli: Cli, count: int) -> None:
    assert cli.file is not None
    cli.file.write_text(STACK.replace("REPLICAS", str(count)), encoding="utf-8")
    cli.up()


def _visits_a_second(cli: Cli, swarm: Swarm, count: int) -> float:
    """Let as many visitors as always share the nodes that serve, each page with all of them."""
    nodes = nodes_of(swarm, cli, "web")
    assert len(nodes) == count
    began = time.time_ns()
    pages = [f"page{began}-{number}" for number in range(VISITORS)]
    load = Load(lambda: [cli.port], pages, visitors=VISITORS, readers=0, hosts=[each.address for each in nodes])
    load.start()
    try:
        eventually(lambda: load.acknowledged() > 50)
        start, before = time.monotonic(), load.acknowledged()
        eventually(lambda: time.monotonic() - start > SECONDS, every=0.05)
        rate = (load.acknowledged() - before) / (time.monotonic() - start)
    finally:
        load.stop()
    judge(cli, load)
    return rate
