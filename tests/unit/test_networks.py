"""Who shares a network with whom: what `uses` says, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest

from stack import Postgres, Redis, Stack, WebApp
from stack.component import Component
from stack.engines.docker.networks import Network, plan_networks


def app(name: str, *uses: str, port: int = 8000) -> WebApp:
    return WebApp(name, source=".", publish=port, uses=uses)


def members(*components: Component) -> dict[str, Sequence[str]]:
    return {name: network.members for name, network in plan_networks(Stack("shop", components)).items()}


db, cache = Postgres("db"), Redis("cache")
STACKS = {
    "an app and its stores": Stack("shop", [app("web", "db", "cache"), db, cache]),
    "an app that uses nothing": Stack("shop", [app("web"), db, cache]),
    "an app that uses one of two": Stack("shop", [app("web", "cache"), db, cache]),
    "apps with one store": Stack("shop", [app("web", "db"), app("api", "db", port=8001), db]),
    "apps with stores of their own": Stack("shop", [app("web", "db"), app("api", "cache", port=8001), db, cache]),
    "apps with some in common": Stack("shop", [app("web", "db", "cache"), app("api", "db", port=8001), db, cache]),
    "an app behind an app": Stack("shop", [app("web", "api"), app("api", "db", port=8001), db]),
    "an app beside the store of an app": Stack("shop", [app("web", "api", "db"), app("api", port=8001), db]),
}


@pytest.mark.parametrize("name", STACKS)
def test_an_app_shares_a_network_with_what_it_uses_and_what_uses_it_alone(name: str) -> None:
    stack = STACKS[name]
    related = {frozenset((component.name, used)) for component in stack for used in component.needs}
    met = {
        frozenset(pair)
        for network in plan_networks(stack).values()
        for pair in combinations(network.members, 2)
        if any(isinstance(stack[name], WebApp) for name in pair)
    }
    assert met == related


@pytest.mark.parametrize("name", STACKS)
def test_a_store_is_on_internal_networks_alone(name: str) -> None:
    stack = STACKS[name]
    open_to = {n: network.members for n, network in plan_networks(stack).items() if not network.internal}
    assert open_to == {component.name: (component.name,) for component in stack if isinstance(component, WebApp)}
    joined = {member for network in plan_networks(stack).values() for member in network.members}
    assert joined == set(stack.names)


def test_a_stack_that_is_not_isolated_has_two_networks() -> None:
    components = [app("web", "db", "cache"), app("api", "web", port=8001), db, cache]
    networks = plan_networks(Stack("shop", components, isolated=False))
    assert networks == {
        "inside": Network(("web", "api", "db", "cache")),
        "outside": Network(("web", "api"), internal=False),
    }
    assert list(plan_networks(Stack("shop", [db], isolated=False))) == ["inside"]


def test_what_is_made_of_a_stack_is_isolated_as_it_is() -> None:
    stack = Stack("shop", [app("web", "db"), db, cache], groups={"more": [cache]}, isolated=False)
    made = [stack.selected([]), stack.with_variables({"web": {"A": "1"}}), stack.able("container")]
    assert [each.isolated for each in made] == [False] * 3


def test_stores_with_the_same_users_share_a_network() -> None:
    assert members(app("web", "cache", "db"), db, cache) == {"web": ("web",), "web.db": ("web", "db", "cache")}


def test_stores_do_not_meet_when_their_users_differ() -> None:
    assert members(app("web", "db", "cache"), app("api", "db", port=8001), db, cache) == {
        "web": ("web",),
        "api": ("api",),
        "web.db": ("web", "db"),
        "web.cache": ("web", "cache"),
        "api.db": ("api", "db"),
    }


def test_another_store_of_an_app_leaves_those_that_it_has_where_they_are() -> None:
    before = plan_networks(Stack("shop", [app("web", "db"), db]))
    after = plan_networks(Stack("shop", [app("web", "db", "cache"), db, cache]))
    assert before.keys() == after.keys()


def test_ten_apps_with_three_stores_fit_into_dockers_address_ranges() -> None:
    stores = [db, cache, Redis("queue")]
    apps = [app(f"web{number}", "db", "cache", "queue", port=8000 + number) for number in range(10)]
    assert len(members(*apps, *stores)) == 20
