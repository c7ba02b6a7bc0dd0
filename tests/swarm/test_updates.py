"""An app with replicas is on several nodes, and is replaced one by one while the others serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli import Cli, eventually, get
from tests.engine.swarm import Swarm

pytestmark = [pytest.mark.swarm, pytest.mark.long]

# Nothing of it is pinned to a node.
FREE = ', volumes={"/app/media": Volume("media")}'
CLIENTS = 4


@dataclass(frozen=True)
class Request:
    """One request of a client: how many nodes it asked, whether the last one answered, and after how many seconds."""

    asked: int
    served: bool
    seconds: float


@pytest.fixture
def team(new_shop: Callable[[], Cli]) -> Cli:
    """A shop whose app runs on each of the three nodes."""
    cli = new_shop()
    assert cli.file is not None
    text = cli.file.read_text(encoding="utf-8")
    assert FREE in text
    cli.file.write_text(text.replace(FREE, ", replicas=3"), encoding="utf-8")
    cli.up()
    return cli


def served(swarm: Swarm, cli: Cli) -> list[str]:
    """Ask each node for the version that it serves; empty for one that does not answer."""
    return [get(f"http://{host.address}:{cli.port}/")[1].get("version", "") for host in swarm.hosts]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def ask_in_turn(urls: Sequence[str]) -> Request:
    """Ask the first one, and the next one if it does not serve, as a load balancer does."""
    began = time.monotonic()
    for asked, url in enumerate(urls, 1):
        if get(url)[0] == 200:
            return Request(asked, True, time.monotonic() - began)
    return Request(len(urls), False, time.monotonic() - began)


@contextmanager
def asking(urls: Sequence[str]) -> Iterator[list[Request]]:
    """Ask all the time during the block, each client another one first each time; note each request."""
    requests: list[Request] = []
    over = threading.Event()

    def ask(first: int) -> None:
        while not over.is_set():
            first = (first + 1) % len(urls)
            requests.append(ask_in_turn([*urls[first:], *urls[:first]]))

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        yield requests
    finally:
        over.set()
        for each in clients:
            each.join(60)
            assert not each.is_alive(), "a request does not end"


def test_an_update_under_load_fails_no_request(team: Cli, swarm: Swarm) -> None:
    assert served(swarm, team) == ["one", "one", "one"]
    with asking([f"http://{host.address}:{team.port}/" for host in swarm.hosts]) as requests:
        eventually(lambda: len(requests) > 100)
        edit(team.folder / "web" / "web.py", 'VERSION = "one"', 'VERSION = "two"')
        began, before = time.monotonic(), len(requests)
        team.up()
        took, after = time.monotonic() - began, len(requests)
        eventually(lambda: len(requests) > after + 100)
    failed = sum(not each.served for each in requests)
    passed_on = sum(each.asked > 1 for each in requests)
    print(
        f"{len(requests)} requests, {after - before} of them in the {took:.1f} s of the update: {failed} failed, "
        f"{passed_on} were served by another node, the slowest took {max(each.seconds for each in requests):.2f} s"
    )
    assert passed_on > 0, "the load met each of the moments in which a node did not serve"
    assert failed == 0
    assert served(swarm, team) == ["two", "two", "two"]


def test_a_version_that_fails_reaches_one_node_and_goes_again(team: Cli, swarm: Swarm) -> None:
    edit(team.folder / "web" / "web.py", 'print("serving"', 'raise SystemExit("boom")\nprint("serving"')
    error = team.fails("up", code="update-taken-back")
    assert "boom" in error["output"]
    assert sorted(served(swarm, team))[1:] == ["one", "one"]
