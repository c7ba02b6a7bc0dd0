"""Which data an instance uses, after its state was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import Postgres, Redis, Stack
from stack.errors import StackError
from stack.instance import Instance
from stack.workflow.recovering import find_generations
from stack.workload import VolumeId
from tests.unit.fake_engine import FakeEngine, Store, World

FIRST, SECOND, TENTH = (f"db-pgdata{mark}" for mark in ("", ".2", ".10"))


def found(stores: set[str], mounted: str | None = None) -> dict[VolumeId, int]:
    stack = Stack("shop", [Postgres("db"), Redis("cache")])
    instance = Instance("shop", "stackctl-shop-0", stack, Path(), Path(), {})
    world = World(stores={name: Store(18, "") for name in stores}, mounted={"db": mounted} if mounted else {})
    return dict(find_generations(FakeEngine(world, instance), instance.name))


@pytest.mark.parametrize("stores", [set(), {FIRST}, {"db-pgdata-other", "other.2"}])
def test_without_a_later_revision_the_first_is_used(stores: set[str]) -> None:
    assert found(stores) == {}


@pytest.mark.parametrize(
    ("stores", "mounted", "generation"),
    [({SECOND}, None, 2), ({FIRST, SECOND}, SECOND, 2), ({FIRST, SECOND}, FIRST, 1), ({SECOND, TENTH}, TENTH, 10)],
)
def test_the_revision_that_a_component_uses_is_taken(stores: set[str], mounted: str | None, generation: int) -> None:
    assert found(stores, mounted) == {VolumeId("db"): generation}


def test_several_revisions_without_a_user_are_refused() -> None:
    with pytest.raises(StackError, match=r"in several revisions: db-pgdata, db-pgdata\.2; which one") as caught:
        found({FIRST, SECOND})
    assert caught.value.code == "state-lost"
    assert "reset --no-snapshot" in caught.value.hint
