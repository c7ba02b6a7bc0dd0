"""The lock of an instance on a server: one command has it, and one that is gone does not keep it."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest

from stack.capabilities import Completed
from stack.engines.docker import client, connection, lock
from stack.engines.docker.lock import LABEL_OWNER, Owner, locked
from stack.errors import StackError
from tests.servers import eventually

HOST = "ssh://deploy@shop.test"
ELSEWHERE = Owner("me@desktop", "not-here", 1234, 1000.0, "`stackctl up` (process 1234)")
DONE = Completed(0, "", "")


@dataclass
class Daemon:
    """A daemon that has containers by their names, and one image."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    image: bool = True
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, name: str, label: str) -> str:
        number = f"id-{next(self.numbers)}"
        labels = {LABEL_OWNER: label}
        self.containers[name] = {"Id": number, "Config": {"Labels": labels}, "HostConfig": {"CpuShares": 0}}
        return number

    def run(self, arguments: Sequence[str], timeout: float, host: str) -> Completed:
        assert host == HOST
        words = [*arguments]
        if words[0] == "create":
            name = words[words.index("--name") + 1]
            if not self.image:
                return Completed(1, "", "Error response from daemon: No such image: stackctl-lock:latest")
            if name in self.containers:
                return Completed(1, "", f'Conflict. The container name "/{name}" is already in use by container "x"')
            return Completed(0, self.add(name, words[words.index("--label") + 1].partition("=")[2]) + "\n", "")
        found = next((each for each in self.containers.values() if each["Id"] == words[-1]), None)
        if found is None:
            return Completed(1, "", f"Error response from daemon: No such container: {words[-1]}")
        if words[0] == "update":
            found["HostConfig"]["CpuShares"] = int(words[words.index("--cpu-shares") + 1])
        elif words[:2] == ["container", "rm"]:
            self.containers = {name: each for name, each in self.containers.items() if each is not found}
        return DONE

    def inspect(self, containers: Sequence[str], host: str) -> list[dict[str, Any]]:
        return [self.containers[name] for name in containers if name in self.containers]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    daemon = Daemon()

    def make(name: str, labels: object, host: str) -> None:
        daemon.image = True

    monkeypatch.setattr(client, "run", daemon.run)
    monkeypatch.setattr(lock, "inspect", daemon.inspect)
    monkeypatch.setattr(lock, "make_empty_image", make)
    monkeypatch.setattr(lock, "_INTERVAL", 0.01)
    return daemon


class Said:
    """The steps of a progress."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


@pytest.mark.parametrize("image", [True, False])
def test_a_lock_names_its_command_and_is_gone_afterwards(daemon: Daemon, image: bool) -> None:
    daemon.image = image
    with locked(HOST, "p"):
        owner = Owner.of(daemon.containers["p-lock"])
        assert owner is not None
        assert (owner.process, owner.ended) == (os.getpid(), False)
    assert daemon.containers == {}


def test_a_second_command_waits_says_for_which_and_gives_up(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TIMEOUT", 0.1)
    monkeypatch.setattr(lock, "_NOTICE", 0.0)
    daemon.add("p-lock", json.dumps(asdict(ELSEWHERE)))
    said: Any = Said()
    with (
        pytest.raises(
            StackError, match=r"`stackctl up` \(process 1234\) of me@desktop, since .* is still changing"
        ) as e,
        locked(HOST, "p", said),
    ):
        raise AssertionError
    assert e.value.code == "instance-busy"
    assert "docker rm p-lock" in e.value.hint
    assert len(said.steps) == 1
    assert "me@desktop" in said.steps[0]
    assert [*daemon.containers] == ["p-lock"], "what another command has stays"


def test_two_instances_do_not_wait_for_each_other(daemon: Daemon) -> None:
    with locked(HOST, "p"), locked(HOST, "q"):
        assert sorted(daemon.containers) == ["p-lock", "q-lock"]


def test_a_command_that_ended_on_this_machine_keeps_no_lock(daemon: Daemon) -> None:
    gone = replace(Owner.this_process(), since=1.0)
    daemon.add("p-lock", json.dumps(asdict(gone)))
    with locked(HOST, "p"):
        assert Owner.of(daemon.containers["p-lock"]) != gone


@pytest.mark.parametrize("label", [json.dumps(asdict(ELSEWHERE)), "", "[]", '{"machine": "x"}'])
def test_a_lock_without_a_sign_of_life_is_taken_over(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    monkeypatch.setattr(lock, "DEAD_AFTER", 0.1)
    old = daemon.add("p-lock", label)
    with locked(HOST, "p"):
        assert daemon.containers["p-lock"]["Id"] != old


def test_a_lock_with_signs_of_life_is_not_taken_over(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "DEAD_AFTER", 0.2)
    monkeypatch.setattr(lock, "SIGN_EVERY", 0.02)
    monkeypatch.setattr(lock, "_TIMEOUT", 0.6)
    # As another machine would see it.
    monkeypatch.setattr(Owner, "ended", False)
    with locked(HOST, "p"), pytest.raises(StackError, match="is still changing"), locked(HOST, "p"):
        raise AssertionError


def test_a_command_that_lost_its_lock_counts_as_cut_off(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SIGN_EVERY", 0.01)
    given_up = threading.Event()
    monkeypatch.setattr(connection, "give_up", lambda host: given_up.set())
    with ExitStack() as held:
        held.enter_context(locked(HOST, "p"))
        daemon.containers.clear()
        eventually(given_up.is_set, "the lock to be missed")


def test_what_fails_after_a_cut_is_told_as_the_cut(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "is_cut", lambda host: True)
    with pytest.raises(StackError) as raised, locked(HOST, "p"):
        raise StackError("save-failed", "the volume can't be read")
    assert raised.value.code == "connection-lost"
    assert HOST in raised.value.message
