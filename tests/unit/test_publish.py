"""`up --publish`: which ports are published beside the declared ones, what is remembered, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stack.errors import UsageError
from stack.record import Record
from stack.settings import Settings
from stack.workflow.asked import Switches
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workload import PortId

SHOP = """
from stack import Postgres, Redis, Stack, WebApp, Worker
db, cache = Postgres("db"), Redis("cache", publish=True)
web = WebApp("web", source="app", uses=[db, cache])
worker = Worker("worker", of=web, command=["work"])
stack = Stack("shop", [web, worker, db, cache])
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    return Settings(tmp_path / "shop.py", None, tmp_path / "state", "compose", tmp_path / "registry")


def published(opened: Opened) -> dict[str, list[str]]:
    services = yaml.safe_load(opened.engine.render())["services"]
    return {name: service["ports"] for name, service in services.items() if "ports" in service}


def remembered(settings: Settings, *names: str) -> None:
    opened = look(settings)
    opened.state.remember(Record("p", {PortId.of("db"): 5433}, "compose", published=names))


DECLARED = {"web": ["127.0.0.1:8000:8000"], "cache": ["127.0.0.1:6379:6379"]}


def test_what_is_asked_for_is_published_beside_what_is_declared(settings: Settings) -> None:
    assert published(look(settings)) == DECLARED
    opened = look(settings, groups=Switches(publish=["db", "web"]))
    assert published(opened) == DECLARED | {"db": ["127.0.0.1:5432:5432"]}
    assert opened.asked[PortId.of("db")] == "auto"
    assert opened.record.published == ("web", "db")


def test_what_is_published_already_stays_where_it_is(settings: Settings) -> None:
    remembered(settings, "db")
    again = look(settings, groups=Switches(publish=["db"]))
    assert published(again) == DECLARED | {"db": ["127.0.0.1:5433:5432"]}
    assert again.asked == {}, "a port that is chosen anew is another one if a nearer one is free by now"


def test_it_is_remembered_until_it_is_undone(settings: Settings) -> None:
    remembered(settings, "db")
    assert published(look(settings)) == DECLARED | {"db": ["127.0.0.1:5433:5432"]}
    undone = look(settings, groups=Switches(unpublish=["db"]))
    assert published(undone) == DECLARED
    assert undone.record.published == ()


def test_what_declares_its_port_stays_published(settings: Settings) -> None:
    assert published(look(settings, groups=Switches(unpublish=["cache"]))) == DECLARED


def test_one_that_is_no_longer_declared_is_forgotten(settings: Settings) -> None:
    remembered(settings, "gone", "db")
    assert look(settings).record.published == ("db",)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("nothing", "'nothing' is not a component of shop"), ("worker", "worker has no port")],
)
@pytest.mark.parametrize("option", ["publish", "unpublish"])
def test_what_can_not_be_published_is_refused(settings: Settings, option: str, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} {name}: {problem}"):
        look(settings, groups=Switches(**{option: [name]}))
