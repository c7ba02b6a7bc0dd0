"""What is asked of a Swarm waits for what passes.

While its managers elect a leader they answer nothing of use, and what a command that was killed still removes is gone
when another one reaches for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stack.capabilities import Completed
from stack.engines.docker import client
from stack.engines.swarm import api, machine
from stack.engines.swarm.session import NodeSession
from stack.errors import StackError

LEADERLESS = "The swarm does not have a leader. It's possible that too few managers are online."
# As recorded, within the 24 seconds of an election.
WORDS = (
    f"rpc error: code = Unknown desc = {LEADERLESS}",
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "rpc error: code = DeadlineExceeded desc = stream terminated by RST_STREAM with error code: CANCEL",
    "rpc error: code = Unavailable desc = error reading from server: read tcp 10.77.0.1:41210->10.77.0.2:2377: read: "
    "connection reset by peer",
)


class Daemon:
    """Answers with errors first."""

    def __init__(self, errors: Iterator[Exception]) -> None:
        self._errors = errors

    def get(self, path: str, filters: Mapping[str, Any] | None, timeout: float) -> list[str]:
        for error in self._errors:
            raise error
        return [path]


def answering(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    daemon = Daemon(iter(errors))
    monkeypatch.setattr(api, "daemon", lambda: daemon)
    monkeypatch.setattr(machine, "_POLL", 0)


@pytest.mark.parametrize("words", WORDS)
def test_a_question_waits_until_a_leader_is_elected(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    answering(monkeypatch, api.Refused(500, words), api.Refused(503, words))
    assert machine.listed("/services", "label") == ["/services"]


def test_a_quorum_that_is_lost_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, *[api.Refused(500, WORDS[0])] * 3)
    monkeypatch.setattr(machine, "_PASSES_WITHIN", -1)
    with pytest.raises(StackError, match="lost its quorum"):
        machine.listed("/services", "label")


def test_what_is_no_election_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, api.Refused(503, "This node is not a swarm manager."))
    with pytest.raises(StackError, match="no manager of a Swarm"):
        machine.listed("/services", "label")


def test_a_daemon_that_is_gone_is_told_with_the_other_managers(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, client.failed("system dial-stdio", "Cannot connect to the Docker daemon"))
    with pytest.raises(StackError) as caught:
        machine.listed("/services", "label")
    assert caught.value.code == "docker-daemon"
    assert "another manager" in caught.value.hint


def test_a_change_waits_until_a_leader_is_elected(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Completed(1, "", f"Error response from daemon: {WORDS[0]}"), Completed(0, "done", "")])
    monkeypatch.setattr(client, "run", lambda *_: next(answers))
    monkeypatch.setattr(machine, "_POLL", 0)
    assert machine.change(["service", "scale", "web=1"], 1) == "done"


@pytest.mark.parametrize(
    "words",
    [
        "failed to create service shop_cache: Error response from daemon: network shop_web_db not found",
        "Failed to remove network xfi2aqf71: Error response from daemon: network xfi2aqf71 not found\n"
        "failed to remove some resources from stack: shop",
    ],
)
def test_what_another_command_removes_meanwhile_is_asked_again(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    answers = iter([Completed(1, "", words), Completed(0, "done", "")])
    monkeypatch.setattr(client, "run", lambda *_: next(answers))
    monkeypatch.setattr(machine, "_POLL", 0)
    assert machine.change(["stack", "rm", "shop"], 1) == "done"


def test_what_stays_away_is_told_in_dockers_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "run", lambda *_: Completed(1, "", "network shop_web_db not found"))
    monkeypatch.setattr(machine, "_PASSES_WITHIN", -1)
    with pytest.raises(StackError, match="docker service scale` failed") as caught:
        machine.change(["service", "scale", "web=1"], 1)
    assert (caught.value.code, caught.value.output) == ("docker-failed", "network shop_web_db not found")


def test_a_command_on_another_node_goes_to_its_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(client, "command", lambda words: ["docker", *words])

    def ask(component: str, command: list[str], environment: Mapping[str, str], timeout: float) -> Completed:
        asked.append(command)
        return Completed(0, "", "")

    monkeypatch.setattr("stack.engines.process.ask", ask)
    NodeSession("web", "abc", daemon="unix:///run/host2.sock").run(["true"])
    assert asked[0][:3] == ["docker", "--host", "unix:///run/host2.sock"]
