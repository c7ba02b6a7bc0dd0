"""A branch has all that was acknowledged before it began, and is a whole instance that its parent knows nothing of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cli import Cli, eventually, get
from tests.conformance.engines import on_containers_at_length

# How long a request to the parent may take while it is copied.
_PAUSE = 1.0


@dataclass
class Visits:
    """A visitor who comes again and again, and counts the visits that were acknowledged, and those that failed."""

    cli: Cli
    pause: float = 0.02
    counted: int = 0
    failed: int = 0
    slowest: float = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads.append(threading.Thread(target=self._run))
        self._threads[-1].start()

    def _run(self) -> None:
        # Of a Swarm a command tells it, which is not to be part of each visit.
        url = self.cli.url
        while not self._over.wait(self.pause):
            began = time.monotonic()
            status, _ = get(f"{url}/")
            self.slowest = max(self.slowest, time.monotonic() - began)
            if status == 200:
                self.counted += 1
            else:
                self.failed += 1

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request does not end"


@contextmanager
def visited(cli: Cli) -> Iterator[Visits]:
    visits = Visits(cli)
    visits.start()
    try:
        yield visits
    finally:
        visits.stop()


@contextmanager
def branch_of(cli: Cli, *options: str) -> Iterator[Cli]:
    """A branch of an instance, which is deleted after the block."""
    branch = Cli(cli.folder, file=cli.file, engine=cli.engine, environment=cli.environment)
    try:
        made = cli.data("branch", branch.instance, *options)
        if made["urls"]:
            branch.port = int(next(iter(made["urls"].values())).rpartition(":")[2])
        yield branch
    finally:
        branch.reset()


@on_containers_at_length
def test_a_branch_of_a_busy_instance_lacks_nothing_and_costs_it_nothing(kept: Cli) -> None:
    first = kept.visit()
    with visited(kept) as visits:
        before = eventually(lambda: visits.counted)
        with branch_of(kept) as branch:
            visits.stop()
            assert visits.failed == 0, "nothing was refused meanwhile"
            assert visits.slowest < _PAUSE
            counted, every = branch.visit() - 1, first + visits.counted
            assert first + before <= counted <= every
            assert kept.visit() == every + 1, "nothing of it is lost"

            assert (branch.visit(), branch.visit()) == (counted + 2, counted + 3)
            assert kept.visit() == every + 2, "a branch never writes to its parent"
            secrets = [(each.state / "secrets" / "db_password").read_text() for each in (kept, branch)]
            assert secrets[0] != secrets[1]
            assert branch.pending() == []

            branches = {each["instance"]: each for each in kept.data("branch", "list")["branches"]}
            listed = branches[branch.instance]
            assert (listed["parent"], listed["state"], listed["parent_gone"]) == (kept.instance, "up", False)
            kept.fails("branch", branch.instance, code="branch-exists")
            kept.ok("branch", "reset", branch.instance, "--yes", "--no-snapshot")
            assert branch.visit() == every + 3, "it is as its parent again"
            deleted = kept.data("branch", "delete", branch.instance, "--yes", "--no-snapshot")
            assert deleted["deleted"]["volumes"]
            assert not branch.state.exists()
