"""What holds for every interleaving of reads, commits and fills: processes that stop before each step they take.

Each process has a counter of its own and does one thing at a time: nothing but the schedule decides who is next.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from service.counter import VisitCounter
from service.store import DatabaseUnavailable, OutcomeUnknown, Result
from tests.unit.service_fakes import FakeCache, FakeDatabase

PAGE = "homepage"
START = 100


class World:
    """The two stores, and what was acknowledged by whom."""

    def __init__(self) -> None:
        self.database = FakeDatabase(homepage=START)
        self.cache = FakeCache(homepage=START)
        self.database.before = self.cache.before = _stop
        self.numbers: list[int] = []
        self.unknown = 0
        self.cache_has_failed = False
        self.epoch_is_first = True

    @property
    def committed(self) -> int:
        return self.database.counts[PAGE]

    @property
    def copy(self) -> int:
        return self.cache.copies.get(PAGE, -1)

    def suffer(self, event: str) -> None:
        self.cache.result = {"redis away": Result.ERROR, "redis back": Result.HIT}.get(event, self.cache.result)
        self.cache_has_failed |= event == "redis away"
        self.database.down = {"postgres away": True, "postgres back": False}.get(event, self.database.down)
        self.database.breaks_on_commit = {"commits break": True, "commits are lost": False}.get(event)
        if event == "restore":
            self.database.counts[PAGE] //= 2
            self.epoch_is_first = False


class Process(threading.Thread):
    """Does its tasks with a counter of its own, one step at a time."""

    def __init__(self, world: World, tasks: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.finished = False
        self.failure: BaseException | None = None
        self._world = world
        self._tasks = tasks
        self._acknowledged = START
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)

    def step(self) -> None:
        """Let it do what it stopped before."""
        self._go.release()
        assert self._stopped.acquire(timeout=20), "the process neither stops nor ends"
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        self._stopped.release()
        assert self._go.acquire(timeout=20)

    def run(self) -> None:
        self._go.acquire()
        counter = VisitCounter(self._world.database, self._world.cache, clock=lambda: 0.0)
        try:
            for task in self._tasks:
                self._do(task, counter)
        except BaseException as error:
            self.failure = error
        self.finished = True
        self._stopped.release()

    def _do(self, task: str, counter: VisitCounter) -> None:
        world = self._world
        known = self._acknowledged if world.cache_has_failed else max(world.numbers, default=START)
        try:
            answer = (counter.visit if task == "visit" else counter.read)(PAGE)
        except DatabaseUnavailable:
            return
        except OutcomeUnknown:
            world.unknown += 1
            return
        if task == "visit":
            world.numbers.append(answer.visits)
            self._acknowledged = max(self._acknowledged, answer.visits)
        elif world.epoch_is_first:
            assert answer.visits <= world.committed, "a read is ahead of what is committed"
            assert answer.visits >= known or answer.stale, "a read lacks a visit that was acknowledged before it"


def _stop() -> None:
    process = threading.current_thread()
    if isinstance(process, Process):
        process.stop()


TASKS = st.lists(st.lists(st.sampled_from(["visit", "read"]), min_size=1, max_size=5), min_size=2, max_size=4)
TURNS = st.integers(0, 3)
REDIS = ["redis away", "redis back"]
POSTGRES = ["postgres away", "postgres back", "commits break", "commits are lost"]
TROUBLE = st.sampled_from([REDIS, POSTGRES, REDIS + POSTGRES]).flatmap(
    lambda events: st.lists(TURNS | TURNS | st.sampled_from(events), max_size=60)
)


def play(world: World, tasks: list[list[str]], schedule: list[int | str]) -> None:
    """Let the processes do their tasks in the order of the schedule, and look at the stores after each step."""
    processes = [Process(world, own) for own in tasks]
    for process in processes:
        process.start()
    # Whoever is not through when the schedule ends goes on, one after the other.
    turns = iter([*schedule, *[0] * 200])
    while ready := [process for process in processes if not process.finished]:
        turn = next(turns)
        if isinstance(turn, str):
            world.suffer(turn)
            continue
        before = world.copy
        ready[turn % len(ready)].step()
        if world.epoch_is_first:
            assert world.copy <= world.committed, "the copy is ahead of what is committed"
            assert world.copy >= before, "the copy went back"


@settings(deadline=None, max_examples=300)
@given(tasks=TASKS, schedule=st.lists(TURNS, max_size=60))
def test_in_any_order_numbers_are_exact_and_the_copy_ends_at_the_truth(
    tasks: list[list[str]], schedule: list[int]
) -> None:
    world = World()
    play(world, tasks, cast("list[int | str]", schedule))
    assert sorted(world.numbers) == [START + n for n in range(1, sum(own.count("visit") for own in tasks) + 1)]
    assert world.copy == world.committed == START + len(world.numbers)


@settings(deadline=None, max_examples=300)
@given(tasks=TASKS, schedule=TROUBLE)
def test_in_any_trouble_no_visit_is_lost_or_counted_twice(tasks: list[list[str]], schedule: list[int | str]) -> None:
    world = World()
    play(world, tasks, schedule)
    assert len(set(world.numbers)) == len(world.numbers), "two visits have one number"
    assert len(world.numbers) <= world.committed - START <= len(world.numbers) + world.unknown
    assert max(world.numbers, default=START) <= world.committed


@settings(deadline=None, max_examples=200)
@given(tasks=TASKS, schedule=st.lists(TURNS | st.just("restore"), max_size=60))
def test_after_a_restore_a_visit_brings_the_copy_back_to_the_truth(
    tasks: list[list[str]], schedule: list[int | str]
) -> None:
    world = World()
    play(world, tasks, schedule)
    play(world, [["visit"]], [])
    assert world.copy == world.committed
