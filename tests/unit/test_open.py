"""Which page `open` shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack import Container, Postgres, Stack, WebApp
from stack.cli.browser import browse
from stack.commands import open as module
from stack.commands.open import open_page
from stack.component import Component
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.instance import Instance, default_ports
from stack.observed import ComponentState
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from tests.unit.fake_engine import FakeEngine, World

WEB, DB = WebApp("web", source=".", port=8100), Postgres("db", publish=5433)
API = WebApp("api", source="api", port=8200)
SEARCH = Container(
    "search", image="search:1", ports={"http": 7700, "console": 7701}, publish={"http": 7700, "console": 7701}
)
WORK = Container("work", image="work:1")
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")


def opening(monkeypatch: pytest.MonkeyPatch, *components: Component, up: bool = True) -> None:
    stack = Stack("shop", components)
    instance = Instance("shop", "stackctl-shop-abc", stack, Path("/"), Path("/"), default_ports(stack))
    engine = FakeEngine(World(dict.fromkeys(stack.names, UP) if up else {}), instance, like=ComposeEngine)
    opened = Opened(instance, State(Path("/")), engine, Record("stackctl-shop-abc", {}), Choice("compose"))
    monkeypatch.setattr(module, "look", lambda settings: opened)


@pytest.mark.parametrize(
    ("components", "name", "url"),
    [
        ([WEB, DB], None, "http://localhost:8100"),
        ([SEARCH, DB, WEB], None, "http://localhost:8100"),
        ([WEB, API], "api", "http://localhost:8200"),
        ([WEB, SEARCH], "search", "http://localhost:7700"),
        ([WEB, SEARCH], "search.console", "http://localhost:7701"),
    ],
)
def test_the_page_that_is_meant_is_opened(
    monkeypatch: pytest.MonkeyPatch, components: list[Component], name: str | None, url: str
) -> None:
    opening(monkeypatch, *components)
    shown: list[str] = []
    report = open_page(SETTINGS, name, lambda page: not shown.append(page))  # type: ignore[func-returns-value]
    assert (shown, report.text, report.data.opened) == ([url], url, True)


def test_without_a_browser_the_address_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    opening(monkeypatch, WEB, up=False)
    report = open_page(SETTINGS, None, None)
    assert (report.text, report.data.opened) == ("http://localhost:8100", False)
    opening(monkeypatch, WEB, DB)
    assert open_page(SETTINGS, "db", None).text == "postgresql://app@localhost:5433/app"
    assert open_page(SETTINGS, None, lambda page: False).data.opened is False


@pytest.mark.parametrize(
    ("components", "name", "message"),
    [
        ([WEB, API], None, "which page? Published are: web, api"),
        ([SEARCH], None, "which page? Published are: search.http, search.console"),
        ([WORK], None, "which page? Published are: none"),
        ([WORK], "work", "work is not published: work publishes no port"),
        ([WEB, SEARCH], "search.grpc", "search.grpc is not published: search publishes the ports"),
        ([WEB], "fly", "'fly' is not a component of shop"),
        ([DB, WEB], "db", "db answers at postgresql://app@localhost:5433/app, which no browser shows"),
    ],
)
def test_what_has_no_page_is_told(
    monkeypatch: pytest.MonkeyPatch, components: list[Component], name: str | None, message: str
) -> None:
    opening(monkeypatch, *components)
    with pytest.raises(StackError) as raised:
        open_page(SETTINGS, name, lambda page: True)
    assert raised.value.message.startswith(message)
    assert raised.value.hint


def test_what_does_not_run_has_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    opening(monkeypatch, WEB, up=False)
    with pytest.raises(StackError) as raised:
        open_page(SETTINGS, None, lambda page: True)
    assert raised.value.code == "instance-down"


def test_a_machine_without_a_display_has_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert browse("http://localhost:8100") is False
    asked: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: not asked.append(url))  # type: ignore[func-returns-value]
    assert browse("http://localhost:8100") is True
    assert asked == ["http://localhost:8100"]
