"""Nodes fail under load: no acknowledged visit is lost, none is counted twice, and it serves again by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.cli import ROOT, Cli, eventually, get
from tests.engine.swarm import Host, Swarm
from tests.judging import judged
from tests.load import Load
from tests.swarm.nodes import all_ready, leader, nodes_of

pytestmark = [pytest.mark.swarm, pytest.mark.long]

# One replica at least is not on the node with the data.
STACK = f"""\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web
db = replace(db, migrations={str(ROOT / "service" / "migrations")!r})
web = replace(web, source={str(ROOT / "service")!r}, replicas=2)
stack = Stack("playground", [web, db, cache])
"""
CUT_FOR = 15.0


@pytest.fixture(scope="module")
def counter(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The visit counter with two replicas, and its data on the first host."""
    folder = tmp_path_factory.mktemp("counter")
    file = folder / "stackfile.py"
    file.write_text(STACK, encoding="utf-8")
    cli = Cli(folder, file=file, engine="swarm")
    cli.up()
    yield cli
    assert cli.reset().exit_code == 0


@pytest.fixture
def load(counter: Cli, swarm: Swarm, request: pytest.FixtureRequest) -> Load:
    """Two visitors and a reader on each node, with a page of their own for each test."""
    hosts = [host.address for host in swarm.hosts]
    return Load(lambda: [counter.port], [request.node.name], visitors=6, readers=3, hosts=hosts)


def apart_from_data(swarm: Swarm, cli: Cli) -> Host:
    """Return a host with the app that has no data."""
    return next(host for host in nodes_of(swarm, cli, "web") if host is not swarm.first)


def serving(swarm: Swarm, cli: Cli) -> list[str]:
    return [host.name for host in swarm.hosts if get(f"http://{host.address}:{cli.port}/health")[0] == 200]


def longest_silence(load: Load) -> float:
    """Return for how long no visit was acknowledged on any node, at most."""
    ends = sorted(each.end for each in load.log if each.kind == "visit" and each.outcome == "ok")
    return max(after - before for before, after in pairwise(ends))


def test_a_node_is_cut_off_and_connected_again(counter: Cli, load: Load, swarm: Swarm) -> None:
    host = apart_from_data(swarm, counter)
    with judged(counter, load, exact_reads=False):
        host.cut_off()
        try:
            threading.Event().wait(CUT_FOR)
        finally:
            host.reconnect()
        began = time.monotonic()
        eventually(lambda: all_ready(swarm) and len(serving(swarm, counter)) >= 2)
        print(f"two replicas {time.monotonic() - began:.1f} s after it is back", end=", ")
    print(f"silent for {longest_silence(load):.1f} s")
    assert longest_silence(load) < 10
    eventually(lambda: counter.data("status")["state"] == "up")


def test_the_leader_dies_with_an_app_on_it(counter: Cli, load: Load, swarm: Swarm) -> None:
    host = _leading_with_an_app(swarm, counter)
    asking_it = Cli(counter.folder, counter.instance, counter.port, counter.file, "swarm", {"DOCKER_HOST": host.url})
    # A new leader knows of no node at first whether it is up.
    eventually(lambda: asking_it.data("status")["state"] == "up")
    with judged(counter, load, exact_reads=False):
        began = time.monotonic()
        host.kill()
        try:
            assert "another manager" in asking_it.fails("status", code="docker-daemon")["hint"]
            assert counter.data("status")["components"]["db"]["state"] == "running"
            print(f"a leader after {time.monotonic() - began:.1f} s", end=", ")
            eventually(lambda: host.name not in (others := serving(swarm, counter)) and len(others) == 2)
            print(f"two replicas after {time.monotonic() - began:.1f} s", end=", ")
            counter.up()
            eventually(lambda: counter.data("status")["state"] == "up")
        finally:
            swarm.revive(host)
    print(f"silent for {longest_silence(load):.1f} s")
    assert longest_silence(load) < 10
    eventually(lambda: all_ready(swarm))


def _leading_with_an_app(swarm: Swarm, cli: Cli) -> Host:
    """Let another manager than the first be the leader, and have a task of the app."""
    first, other = swarm.first, swarm.hosts[1]
    if leader(swarm) is first:
        other.docker("node", "demote", first.name)
        eventually(lambda: first.docker("info", "--format", "{{.Swarm.ControlAvailable}}") == "false")
        other.docker("node", "promote", first.name)
        eventually(lambda: all_ready(swarm))
    host = leader(swarm)
    if host not in nodes_of(swarm, cli, "web"):
        third = next(each for each in swarm.hosts if each not in (first, host))
        first.docker("node", "update", "--availability", "drain", third.name)
        eventually(lambda: host.name in serving(swarm, cli))
        first.docker("node", "update", "--availability", "active", third.name)
    return host
