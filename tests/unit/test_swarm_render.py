"""The stack file of an instance on a Swarm: what it holds, and that no secret is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, Job, Parameter, Postgres, Redis, Stack, Volume, WebApp, Worker
from stack.contents import Content
from stack.engines.swarm import objects, render
from stack.instance import Instance, default_ports
from stack.parameters import Given

KEY = Parameter("SECRET_KEY", secret=True, generate=True)
DB = Postgres("db")
WEB = WebApp("web", source=".", port=8000, uses=[DB], environment={"KEY": KEY, "DEBUG": "$x"})
MIGRATE = Job("migrate", of=WEB, command=["true"], before=[WEB])
WORKER = Worker("worker", of=WEB, command=["work"], replicas=2)
BEAT = Worker("beat", of=WEB, command=["beat"], singleton=True)
SITE = Container("site", image="caddy:2", files={"site.conf": "/etc/site"}, volumes={"/data": Volume("kept")})
STACK = Stack("shop", [WEB, MIGRATE, WORKER, BEAT, DB, Redis("cache"), SITE], registry="registry.example.com/team")
FILE = SITE.workload("container").files[0].name
SHOP = Instance(
    "shop", "stackctl-shop-123456", STACK, Path("/shop"), Path("/shop/.stackctl/shop"), default_ports(STACK),
    registry=STACK.registry, parameters={"SECRET_KEY": Given("hunter2", "")},
    contents={FILE: Content.of_text("hello")},
)  # fmt: skip
PLACE = objects.Place(
    mesh=True,
    files=Path("/shop/.stackctl/shop/swarm/files"),
    images={"web": "registry.example.com/team/stackctl-shop-123456-web@sha256:1"},
    secrets={"db_password": "hunter3"},
    salt="salt",
)


def project(
    place: objects.Place = PLACE, names: tuple[str, ...] | None = None, shop: Instance = SHOP
) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render.render(SHOP, place, names))
    return found


def service(name: str, place: objects.Place = PLACE) -> dict[str, Any]:
    found: dict[str, Any] = project(place)["services"][name]
    return found


def test_no_secret_is_in_the_text() -> None:
    text = render.render(SHOP, PLACE)
    assert "hunter" not in text
    assert service("web")["environment"]["KEY"] == "${STACKCTL_0_KEY}"


def test_a_dollar_stays_a_dollar() -> None:
    assert service("web")["environment"]["DEBUG"] == "$$x"


def test_what_is_built_runs_by_its_digest_and_all_that_run_it() -> None:
    images = {name: service(name)["image"] for name in ("web", "migrate", "beat")}
    assert set(images.values()) == {"registry.example.com/team/stackctl-shop-123456-web@sha256:1"}


def test_another_secret_is_another_object_whose_name_tells_nothing() -> None:
    def name(place: objects.Place) -> str:
        found: str = project(place)["secrets"]["db_password"]["name"]
        return found

    before = name(PLACE)
    assert name(PLACE) == before
    assert name(replace(PLACE, secrets={"db_password": "other"})) != before
    assert name(replace(PLACE, salt="other")) != before


def test_a_part_names_only_what_it_has() -> None:
    part = project(names=("cache",))
    assert [*part["services"]] == ["cache"]
    assert {"secrets", "configs", "volumes"}.isdisjoint(part)
    assert [*part["networks"]] == service("cache")["networks"]


def test_data_is_pinned_to_the_node_of_the_instance() -> None:
    pinned = {"constraints": ["node.labels.stackctl.data.stackctl-shop-123456 == true"]}
    assert service("db")["deploy"]["placement"] == pinned
    assert service("site")["deploy"]["placement"] == pinned
    assert service("worker")["deploy"]["placement"] == {"preferences": [{"spread": "node.id"}]}


@pytest.mark.parametrize(
    ("name", "mesh", "order"),
    [
        ("web", True, "start-first"),
        ("web", False, "stop-first"),
        ("beat", True, "stop-first"),
        ("cache", False, "start-first"),
        ("db", True, "stop-first"),
    ],
)
def test_a_new_task_starts_first_where_two_can_be(name: str, mesh: bool, order: str) -> None:
    assert service(name, replace(PLACE, mesh=mesh))["deploy"]["update_config"]["order"] == order


def test_without_the_mesh_ports_are_those_of_the_nodes() -> None:
    port = {"target": 8000, "published": 8000, "protocol": "tcp"}
    assert service("web")["ports"] == [{**port, "mode": "ingress"}]
    alone = service("web", replace(PLACE, mesh=False))
    assert alone["ports"] == [{**port, "mode": "host"}]
    assert alone["deploy"]["endpoint_mode"] == "dnsrr"


def test_a_job_runs_once_and_is_not_started_again() -> None:
    deploy = service("migrate")["deploy"]
    assert (deploy["replicas"], deploy["restart_policy"]) == (1, {"condition": "none"})


def test_an_app_that_does_not_get_healthy_is_given_up_before_a_database() -> None:
    assert service("web")["healthcheck"]["start_period"] == "120s"
    assert service("db")["healthcheck"]["start_period"] == "3600s"


def test_what_is_declared_decides_and_no_digest_or_number() -> None:
    before = render.fields(SHOP, PLACE)
    assert render.fields(SHOP, replace(PLACE, images={}, secrets={}, salt="")) == before
    more = Stack("shop", [WEB, MIGRATE, replace(WORKER, replicas=3), BEAT, DB, Redis("cache"), SITE])
    assert render.fields(replace(SHOP, stack=more), PLACE)["worker"] == before["worker"]
    other = replace(SHOP, contents={FILE: Content.of_text("bye")})
    assert render.fields(other, PLACE)["site"] != before["site"]
