"""An app with replicas is on several nodes, and is replaced one by one while the others serve."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli, get
from tests.engine.swarm import Swarm

pytestmark = pytest.mark.swarm

# Nothing of it is pinned to a node.
FREE = ', volumes={"/app/media": Volume("media")}'


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


@pytest.mark.long
def test_an_update_leaves_no_moment_without_an_answer(team: Cli, swarm: Swarm) -> None:
    assert served(swarm, team) == ["one", "one", "one"]
    rounds: list[list[str]] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            rounds.append(served(swarm, team))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        edit(team.folder / "web" / "web.py", 'VERSION = "one"', 'VERSION = "two"')
        team.up()
    finally:
        over.set()
        asking.join(60)
    assert len(rounds) > 20
    assert all(any(answers) for answers in rounds), "a client that asks the next node is always served"
    assert served(swarm, team) == ["two", "two", "two"]


@pytest.mark.long
def test_a_version_that_fails_reaches_one_node_and_goes_again(team: Cli, swarm: Swarm) -> None:
    edit(team.folder / "web" / "web.py", 'print("serving"', 'raise SystemExit("boom")\nprint("serving"')
    error = team.fails("up", code="update-taken-back")
    assert "boom" in error["output"]
    assert sorted(served(swarm, team))[1:] == ["one", "one"]
