"""A server beside its instance is asked until it answers, and nothing that asks is left behind."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack.capabilities import Serve
from stack.engines.offline import run_offline, run_while_open
from stack.engines.process import Pipe
from stack.errors import StackError
from tests.cli import eventually
from tests.unit.fake_engine import FakeSession, World

SERVER = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
FAILURE = StackError("not-ready", "it does not serve", "look at its log")


class DetachedSession(FakeSession):
    """One in a container: what it runs goes on if its client is killed. `asked` gets the pid of each."""

    def __init__(self, asked: Path) -> None:
        super().__init__("db", World())
        self._asked = asked

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        beside = f"setsid {shlex.join(command)} & echo $! >> {shlex.quote(str(self._asked))}; wait $!"
        return Pipe(["sh", "-c", beside], os.environ, feed=feed, take=take)

    def left(self) -> list[str]:
        """Name what still asks."""
        return [pid for pid in self._asked.read_text().split() if Path("/proc", pid).exists()]


def served(session: DetachedSession, log: Path, server: str, ready: str) -> None:
    """Serve by a shell script for as long as it takes until another one says that it is ready."""
    serve = Serve((), ("sh", "-c", ready), FAILURE, stop_signal="TERM")
    command = ["sh", "-c", run_while_open(serve), "sh", "sh", "-c", server]
    with (
        log.open("wb") as written,
        run_offline(serve, lambda pid: session, command, os.environ, written, lambda serve, output: serve.failure),
    ):
        pass


def test_what_asks_a_server_ends_even_if_its_client_is_killed(tmp_path: Path) -> None:
    session = DetachedSession(tmp_path / "asked")
    with pytest.raises(StackError, match="it does not serve"):
        served(session, tmp_path / "log", "sleep 0.5", "false")
    eventually(lambda: not session.left())


def test_a_server_that_is_slow_is_asked_again(tmp_path: Path) -> None:
    session, tried = DetachedSession(tmp_path / "asked"), shlex.quote(str(tmp_path / "tried"))
    served(session, tmp_path / "log", SERVER, f"echo >> {tried}; test $(wc -l < {tried}) -gt 12")
    assert len((tmp_path / "asked").read_text().split()) == 2, "each asks ten times"
    assert not session.left()
