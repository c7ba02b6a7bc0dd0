"""What has no health check is loading while it keeps a processor busy, soon after its start."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from stack.engines import processor
from stack.engines.base import Engine
from stack.engines.docker.processor import of_container
from stack.engines.processor import of_processes
from stack.observed import ComponentState, Observed, together
from stack.verdict.loading import Loading

ID = "f44fd899e3ae"
NOW = datetime.now(UTC)
YOUNG = ComponentState("one", "running", "none", 0, 0, False, NOW + timedelta(hours=1), "image")


class Machine:
    """An engine and a clock: how busy each process has been, and the time."""

    def __init__(self) -> None:
        self.taken: dict[str, float | None] = {"one": 0.0, "two": 0.0}
        self.seconds = 0.0
        self.preparing = False

    def prepares(self, state: ComponentState) -> bool:
        return self.preparing

    def processor_demand(self, state: ComponentState) -> float | None:
        return self.taken[state.id]

    def now(self) -> float:
        return self.seconds

    def spend(self, seconds: float, **taken: float) -> None:
        self.seconds += seconds
        for name, more in taken.items():
            self.taken[name] = (self.taken[name] or 0.0) + more


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def loading(machine: Machine) -> Loading:
    return Loading(cast(Engine, machine), machine.now)


def seen(*states: ComponentState) -> Observed:
    return Observed({"worker": together(states, len(states))})


def test_it_is_loading_until_it_takes_little(machine: Machine, loading: Loading) -> None:
    assert loading.found(seen(YOUNG)), "one look can't tell"
    machine.spend(0.25, one=0.2)
    assert loading.found(seen(YOUNG))
    machine.spend(0.25, one=0.01)
    assert not loading.found(seen(YOUNG))


def test_two_looks_at_once_say_the_same(machine: Machine, loading: Loading) -> None:
    loading.found(seen(YOUNG))
    machine.spend(0.25, one=0.01)
    assert not loading.found(seen(YOUNG))
    machine.spend(0.001, one=0.001)
    assert not loading.found(seen(YOUNG))


def test_each_replica_is_measured(machine: Machine, loading: Loading) -> None:
    both = seen(YOUNG, replace(YOUNG, id="two", number=2))
    loading.found(both)
    machine.spend(0.25, two=0.2)
    assert loading.found(both)
    machine.spend(0.25)
    assert not loading.found(both)


@pytest.mark.parametrize(
    "state",
    [
        replace(YOUNG, health="healthy"),
        replace(YOUNG, state="exited"),
        replace(YOUNG, since=datetime.now(UTC) - timedelta(seconds=6)),
    ],
    ids=["its health tells", "it ended", "it has had its time"],
)
def test_what_has_loaded_for_certain_is_not_measured(loading: Loading, state: ComponentState) -> None:
    assert not loading.found(seen(state))


def test_what_is_asked_has_loaded_once_it_answers(machine: Machine, loading: Loading) -> None:
    assert not loading.found(seen(YOUNG), ["worker"])
    machine.spend(0.25, one=0.25)
    assert not loading.found(seen(YOUNG), ["worker"])


def test_what_can_not_be_measured_has_loaded(machine: Machine, loading: Loading) -> None:
    machine.taken["one"] = None
    assert not loading.found(seen(YOUNG))


def test_what_prepares_its_start_is_loading_though_it_takes_nothing(machine: Machine, loading: Loading) -> None:
    machine.preparing = True
    assert loading.found(seen(YOUNG))
    machine.spend(1)
    assert loading.found(seen(YOUNG))
    machine.preparing = False
    assert loading.found(seen(YOUNG)), "its program is measured from here on"
    machine.spend(1)
    assert not loading.found(seen(YOUNG))


def test_what_was_started_again_is_measured_from_then_on(machine: Machine, loading: Loading) -> None:
    loading.found(seen(YOUNG))
    machine.spend(0.25, one=-0.2)
    assert loading.found(seen(replace(YOUNG, since=NOW + timedelta(hours=2), restarts=1)))


def test_a_pid_of_another_machine_tells_nothing(tmp_path: Path) -> None:
    pid = str(os.getpid())
    (tmp_path / pid).mkdir()
    (tmp_path / pid / "cgroup").write_text(f"0::/docker/{ID}\n")
    assert of_container(os.getpid(), ID, tmp_path)
    assert of_container(os.getpid(), "another", tmp_path) is None
    assert of_container(1, ID, tmp_path) is None, "it is gone"


def test_the_kernel_tells_the_work_of_a_process() -> None:
    before, began = of_processes(os.getpid()), time.process_time()
    while time.process_time() < began + 0.05:
        pass
    after = of_processes(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before >= 0.03


def test_a_process_that_ends_while_it_is_measured_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processor, "_PROC", tmp_path)
    assert of_processes(os.getpid()) is not None, "what was read of it before is left"
