"""Which database of a stack is copied for the tests of a project."""

from __future__ import annotations

import pytest

from stack import Postgres, Redis, Stack
from stack.errors import StackError
from stack.testing.databases import choose_component


def stack(*names: str) -> Stack:
    return Stack("shop", [*map(Postgres, names), Redis("cache")])


def test_the_only_database_is_copied_whatever_its_name() -> None:
    assert choose_component(stack("orders"), "") == "orders"


def test_of_several_the_named_one_is_copied() -> None:
    assert choose_component(stack("orders", "users"), "users") == "users"


@pytest.mark.parametrize(
    ("names", "named", "told"),
    [
        ([], "", "shop has no database that could be copied for a test"),
        (["orders", "users"], "", "shop has several databases: orders, users"),
        (["orders"], "cache", "shop has no database cache, which `stackctl_database` names; it has: orders"),
    ],
)
def test_what_can_not_be_chosen_is_told(names: list[str], named: str, told: str) -> None:
    with pytest.raises(StackError) as raised:
        choose_component(stack(*names), named)
    assert (raised.value.code, raised.value.message) == ("usage", told)
    assert "`" in raised.value.hint
