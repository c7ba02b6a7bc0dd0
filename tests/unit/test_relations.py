"""Which components one needs, hears of and reaches: `uses`, `after` and `reaches`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stack import Container, DeclarationError, Postgres, Redis, Stack, WebApp, Worker
from stack.component import Component
from stack.engines.docker.networks import plan_networks

db, cache = Postgres("db"), Redis("cache")


def box(name: str = "box", **options: Any) -> Container:
    return Container(name, image="nginx:1.29", egress=False, **options)


def app(**options: Any) -> WebApp:
    return WebApp("web", image="shop/web:1", **options)


def worker(**options: Any) -> Worker:
    return Worker("worker", of=app(uses=[db], after=[cache], reaches=["box"]), command=["work"], **options)


WRONG: dict[str, Callable[[], object]] = {
    "box/after: 'db' is not a list": lambda: box(after="db"),
    "box/after: 7 is neither a component nor the name of one": lambda: box(after=[7]),
    "box/after: 'db' is in `uses` already": lambda: box(uses=["db"], after=[db]),
    "box/reaches: 'db' is in `uses` already": lambda: box(uses=["db"], reaches=[db]),
    "box/reaches: 'db' is in `after` already": lambda: box(after=["db"], reaches=[db]),
    "box/reaches: 'db' is listed twice": lambda: box(reaches=["db", db]),
    "box/reaches: 'box' is the component itself": lambda: box(reaches=["box"]),
    "web/after: 'db' is in `uses` already": lambda: app(uses=["db"], after=[db]),
    "worker/after: 'db' is in `uses` already": lambda: worker(uses=["db"], after=[db]),
    "worker/reaches: {} is not a list": lambda: worker(reaches={}),
    "shop/box/after: 'db' is not in the stack (it has box)": lambda: Stack("shop", [box(after=["db"])]),
    "shop/box/reaches: 'db' is not in the stack (it has box)": lambda: Stack("shop", [box(reaches=["db"])]),
    "shop/box/uses: goes in a circle: box -> web -> box": lambda: Stack(
        "shop", [box(after=["web"]), app(after=["box"])]
    ),
    "shop/box/environment/URL: refers to 'db', which is not in its uses": lambda: Stack(
        "shop", [box(environment={"URL": db.host}), db]
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def variables(component: Component, *others: Component) -> set[str]:
    return set(Stack("shop", [component, *others]).workload(component.name, "container").environment)


def members(*components: Component) -> dict[str, tuple[str, ...]]:
    return {name: network.members for name, network in plan_networks(Stack("shop", components)).items()}


def test_uses_gives_variables_and_after_none() -> None:
    assert variables(box(uses=[cache], after=[db]), db, cache) == {"CACHE_HOST", "CACHE_PORT"}
    assert box(uses=[cache], after=[db]).needs == ("cache", "db")


def test_a_declared_variable_wins_over_that_of_a_used_component() -> None:
    stack = Stack("shop", [box(uses=[db], environment={"DB_HOST": "pooler", "DB_NAME": "other"}), db])
    environment = stack.workload("box", "container").environment
    assert (environment["DB_HOST"], environment["DB_NAME"], environment["DB_PORT"]) == ("pooler", "other", db.port)


def test_what_is_reached_shares_a_network_and_no_order() -> None:
    stack = [box("front", reaches=["back"]), box("back", reaches=["front"])]
    assert members(*stack) == {"front.back": ("front", "back")}
    assert [component.needs for component in stack] == [(), ()]


def test_a_relation_in_both_directions_is_one_network() -> None:
    assert members(box("front", after=["back"]), box("back", reaches=["front"])) == {"front.back": ("front", "back")}


def test_a_value_may_refer_to_what_is_reached() -> None:
    box_ = box(reaches=[cache], environment={"CACHE": f"{cache.host}:{cache.port}"})
    assert variables(box_, cache) == {"CACHE"}


def test_a_worker_needs_and_reaches_what_its_app_does() -> None:
    assert (worker().needs, worker().informs, worker().reached) == (("db", "cache"), ("db",), ("box",))
    own = worker(uses=[cache], after=["search"], reaches=[db])
    assert (own.needs, own.informs, own.reached) == (("cache", "search"), ("cache",), ("box", "db"))
