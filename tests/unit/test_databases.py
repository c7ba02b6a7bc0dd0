"""What a PostgreSQL and a Redis may be declared with: wrong values, and what becomes of right ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import DeclarationError, Postgres, Stack, WebApp
from stack.engines.compose.render import render
from stack.engines.embedded.ports import choose_ports
from stack.instance import Instance, default_ports
from stack.style import PLAIN
from stack.workflow.summary import page_urls, server_lines, url_lines


def db(**options: Any) -> Postgres:
    return Postgres("db", **options)


WRONG: dict[str, Callable[[], object]] = {
    "db/publish: 'yes' is not a port (1-65535)": lambda: db(publish="yes"),
    "db/publish: 0 is not a port (1-65535)": lambda: db(publish=0),
    "db/publish: 70000 is not a port (1-65535)": lambda: db(publish=70000),
    "shop/orders/publish: 5432 is published by 'db' already": lambda: Stack(
        "shop", [db(publish=True), Postgres("orders", publish=True)]
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def instance(*components: Any) -> Instance:
    stack = Stack("shop", components)
    return Instance("shop", "stackctl-shop-123456", stack, Path("/f"), Path("/s"), default_ports(stack))


def service(name: str, *components: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(instance(*components)))["services"][name]
    return found


@pytest.mark.parametrize(("publish", "port"), [(True, 5432), (6000, 6000), (None, None), (False, None)])
def test_a_published_database_has_the_usual_port_or_its_own(publish: bool | int | None, port: int | None) -> None:
    made = instance(db(publish=publish))
    bound = [f"127.0.0.1:{port}:5432"] if port else None
    assert service("db", db(publish=publish)).get("ports") == bound
    assert dict(made.ports) == ({"db": port} if port else {})
    assert port is None or choose_ports(made, {}, keep=False) == {"db": port}


def test_a_published_database_says_how_to_connect() -> None:
    made = instance(WebApp("web", source="app"), db(publish=True, user="shop", database="orders"))
    database = "  db: postgresql://shop@localhost:5432/orders  (password in /s/secrets/db_password)"
    assert page_urls(made) == ["http://localhost:8000"]
    assert server_lines(made, PLAIN) == [database]
    assert url_lines(made, PLAIN) == ["  web: http://localhost:8000", database]


def test_a_database_that_is_not_published_keeps_its_networks() -> None:
    app = WebApp("web", source="app", uses=["db"])
    networks = yaml.safe_load(render(instance(app, db())))["networks"]
    published = yaml.safe_load(render(instance(app, db(publish=True))))["networks"]
    assert published.keys() - networks.keys() == {"db"}
    assert "internal" not in published["db"]
