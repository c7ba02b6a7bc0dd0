"""A server that runs by itself on a volume is asked until it answers, and nothing that asks is left in its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from stack.capabilities import Serve, Session
from stack.engines.offline import run_offline, run_while_open
from stack.engines.process import Pipe
from stack.errors import StackError
from tests.cli import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}
FAILURE = StackError("server-failed", "it does not start", "look at its lines")


class Container:
    """A session whose commands go on when their client is ended, as those in a container do."""

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        beyond = '"$@" & wait "$!"'
        return Pipe(["sh", "-c", f"setsid {beyond}", "sh", *command], ENVIRONMENT, feed=feed, take=take)


def served(folder: Path, tries: int) -> Serve:
    """A server that answers at this try; each notes the process that asks."""
    asked = f"echo $PPID >> {folder}/asked; [ $(wc -l < {folder}/asked) -ge {tries} ]"
    server = """trap 'kill "$!"; exit 0' TERM; sleep 60 & wait"""
    return Serve(("sh", "-c", server), ("sh", "-c", asked), FAILURE, stop_signal="TERM")


@pytest.mark.parametrize("tries", [1, 5, 50])
def test_nothing_that_asked_is_left_once_it_answers(tmp_path: Path, tries: int) -> None:
    serve = served(tmp_path, tries)
    command = ["sh", "-c", run_while_open(serve), "sh", *map(str, serve.command)]
    with (
        (tmp_path / "log").open("wb") as log,
        run_offline(serve, lambda _: cast(Session, Container()), command, ENVIRONMENT, log),
    ):
        asked = (tmp_path / "asked").read_text().split()
        assert len(asked) == tries
        eventually(lambda: not any(Path("/proc", pid).exists() for pid in {*asked}))


def test_a_server_that_ends_is_told_with_its_last_lines(tmp_path: Path) -> None:
    serve = served(tmp_path, 50)
    with (
        (tmp_path / "log").open("wb") as log,
        pytest.raises(StackError, match="it does not start") as raised,
        run_offline(
            serve, lambda _: cast(Session, Container()), ["sh", "-c", "echo no space; exit 1"], ENVIRONMENT, log
        ),
    ):
        pytest.fail("it serves")
    assert raised.value.output == "no space"
