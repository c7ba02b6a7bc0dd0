"""What a Swarm ends after a command is waited for, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from stack.engines.swarm import ending, machine
from stack.errors import StackError

RUNNING, ENDED = {"Status": {"State": "running"}}, {"Status": {"State": "shutdown"}}


def lists(monkeypatch: pytest.MonkeyPatch, services: int, tasks: Iterator[Sequence[Any]]) -> list[Sequence[str]]:
    """Let a Swarm have services and show these tasks one after the other; return the commands that it gets."""
    commands: list[Sequence[str]] = []
    there: dict[str, Sequence[Any]] = {"/services": [{}] * services, "/networks": []}
    monkeypatch.setattr(machine, "listed", lambda path, label: next(tasks) if path == "/tasks" else there[path])
    monkeypatch.setattr(machine, "change", lambda words, timeout: commands.append(words))
    monkeypatch.setattr(ending, "_POLL", 0)
    return commands


def test_tasks_that_end_later_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = iter([[RUNNING, ENDED], [RUNNING], [ENDED]])
    commands = lists(monkeypatch, 1, tasks)
    ending.remove_stack("shop")
    assert commands == [["stack", "rm", "--detach=true", "shop"]]
    assert not list(tasks), "it has looked until all had ended"


def test_nothing_is_removed_of_an_instance_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = lists(monkeypatch, 0, iter([[]]))
    ending.remove_stack("shop")
    assert commands == []


def test_a_task_that_does_not_end_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    lists(monkeypatch, 1, iter(lambda: [RUNNING], None))
    monkeypatch.setattr(ending, "_ENDS_WITHIN", 0.05)
    with pytest.raises(StackError, match="has not ended what was to end within") as raised:
        ending.remove_stack("shop")
    assert raised.value.code == "docker-failed"
    assert "docker node ls" in raised.value.hint
