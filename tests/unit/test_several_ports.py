"""A component with two published ports and two volumes: each is rendered, planned and reported under its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, Stack
from stack.capabilities import Completed
from stack.commands import doctor
from stack.commands import status as status_module
from stack.commands.status import status
from stack.component import Component
from stack.engines.compose.driver import ComposeEngine
from stack.engines.compose.fleet import ComposeFleet
from stack.engines.compose.render import render
from stack.engines.docker import client
from stack.errors import StackError, UsageError
from stack.instance import Instance, default_ports
from stack.observed import Observed
from stack.ports import Holder, PortChoice
from stack.record import Record
from stack.registry import Entry
from stack.settings import Settings
from stack.state import State
from stack.style import PLAIN
from stack.workflow import ports
from stack.workflow.asked import chosen_ports
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from stack.workflow.plan_text import plan_lines
from stack.workflow.planning import compute_plan
from stack.workload import Hardening, Limits, Port, PortId, Target, Volume, VolumeId, Workload
from tests.unit.test_compose_states import CONTAINER, STATE

SEARCH, CONSOLE = PortId("search"), PortId("search:console")
BINDINGS = {"9200/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9300"}], "5601/tcp": [{"HostPort": "5700"}]}


@dataclass(frozen=True)
class Search(Component):
    name: str

    def workload(self, target: Target) -> Workload:
        return Workload(
            limits=Limits(memory=512, cpus=1, pids=64),
            hardening=Hardening(user="1000:1000"),
            stop_grace=10,
            image="search:1",
            ports=(Port(PortId.of(self.name), 9200, 9200), Port(PortId.of(self.name, "console"), 5601, 5601)),
            volumes=(
                Volume(VolumeId.of(self.name), f"{self.name}-index", "/index"),
                Volume(VolumeId.of(self.name, "logs"), f"{self.name}-logs", "/logs"),
            ),
        )


NOTHING = Observed({})
STACK = Stack("shop", [Search("search")])


def opened(folder: Path = Path("/"), chosen: Mapping[PortId, int] | None = None) -> Opened:
    instance = Instance("shop", "p", STACK, folder, folder / "state", {**default_ports(STACK), **(chosen or {})})
    engine = ComposeEngine(instance)
    return Opened(instance, State(instance.state), engine, Record("p", {}, "compose"), Choice("compose", ""))


def docker_has(monkeypatch: pytest.MonkeyPatch, bindings: Mapping[str, Any], service: str = "search") -> None:
    labels = {"com.docker.compose.service": service}
    container = CONTAINER | {
        "State": STATE | {"Health": None},
        "Config": {"Image": "search:1", "Labels": labels},
        "HostConfig": CONTAINER["HostConfig"] | {"PortBindings": bindings},
    }

    def answer(arguments: list[str], *_: object, **options: object) -> Completed:
        return Completed(0, json.dumps([container]) if arguments[0] == "inspect" else "63be5d654c6b\n", "")

    monkeypatch.setattr(client, "run", answer)


def test_each_port_and_volume_is_rendered() -> None:
    project = yaml.safe_load(render(opened(chosen={CONSOLE: 5700}).instance))
    service = project["services"]["search"]
    assert service["ports"] == ["127.0.0.1:9200:9200", "127.0.0.1:5700:5601"]
    assert service["volumes"] == ["search-index:/index", "search-logs:/logs"]
    assert set(project["volumes"]) == {"search-index", "search-logs"}


def test_a_plan_has_a_line_for_each_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "run", lambda *_, **options: Completed(0, "", ""))
    shop = opened(tmp_path)
    lines = plan_lines(compute_plan(shop, shop.state.applied()), PLAIN)
    data = [line for line in lines if "data:" in line]
    assert len(data) == 2
    assert "p_search-index" in data[0]
    assert "p_search-logs" in data[1]


def test_a_container_has_each_port_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS)
    assert opened().engine.observe().components["search"].ports == {SEARCH: 9300, CONSOLE: 5700}


@pytest.mark.parametrize(
    ("bindings", "found"),
    [
        ({}, {}),
        ({"9200/tcp": None}, {}),
        # The declared number changed and the container is the old one.
        ({"9999/tcp": [{"HostPort": "9300"}], "5601/tcp": [{"HostPort": "5700"}]}, {SEARCH: 9300, CONSOLE: 5700}),
        ({**BINDINGS, "80/tcp": [{"HostPort": "8080"}]}, {SEARCH: 9300, CONSOLE: 5700, "search:80": 8080}),
    ],
    ids=["none", "unpublished", "renumbered", "extra"],
)
def test_a_port_that_is_not_declared_has_a_name(
    monkeypatch: pytest.MonkeyPatch, bindings: Mapping[str, Any], found: Mapping[str, int]
) -> None:
    docker_has(monkeypatch, bindings)
    assert opened().engine.observe().components["search"].ports == found


def test_the_ports_of_a_removed_component_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS, service="old")
    assert opened().engine.observe().components["old"].ports == {"old": 9300, "old:5601": 5700}


def test_status_shows_each_port(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS)
    monkeypatch.setattr(status_module, "look", lambda settings: opened())
    monkeypatch.setattr(status_module, "observe", lambda instance, engine: engine.observe())
    report = status(Settings(Path("/shop.py"), None, Path("/")))
    component = report.data.components["search"]
    assert (component.port, component.ports) == (9300, {"search": 9300, "search:console": 5700})
    assert "9300, 5700" in report.text


def test_a_port_that_the_component_holds_is_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS)
    monkeypatch.setattr(ports, "is_free", lambda port, udp=False: False)
    monkeypatch.setattr(ports, "holder_of", lambda *_: Holder("another", "`kill 7`"))
    held = opened(chosen={SEARCH: 9300, CONSOLE: 5700})
    ports.check_ports(held, held.engine.observe())

    with pytest.raises(StackError, match=r"port 5601 of localhost, which search\.console publishes"):
        ports.check_ports(opened(chosen={SEARCH: 9300}), held.engine.observe())


def test_doctor_finds_each_port_published_by_its_component(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS)
    monkeypatch.setattr(ports, "is_free", lambda port, udp=False: False)
    held = opened(chosen={SEARCH: 9300, CONSOLE: 5700})
    target = doctor.Subject(Settings(Path("/shop.py"), None, Path("/")), held, held.engine.observe())
    assert [finding.message for finding in doctor.CHECKS["ports"](target)] == [
        "9300 is published by search",
        "5700 is published by search:console",
    ]


def test_an_automatic_port_stays_the_one_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    docker_has(monkeypatch, BINDINGS)
    monkeypatch.setattr(ports, "is_free", lambda port, udp=False: port not in (9300, 5700, 9200, 5601))
    made = opened()
    resolved = ports.resolve_ports(
        Opened(made.instance, made.state, made.engine, made.record, made.choice, asked={}, named=True),
        (),
        made.engine.observe,
    )
    assert resolved.instance.ports == {SEARCH: 9300, CONSOLE: 5700}


DESK = Stack(
    "desk",
    [
        Container("web", image="i", ports={"http": 80}, publish={"http": 8000}),
        Container(
            "store", image="i", ports={"http": 9000, "console": 9001, "own": 9002}, publish={"http": 1, "console": 2}
        ),
        Container("db", image="i", ports={"sql": 5432}),
        Container("tool", image="i", ports={"http": 80}, publish={"http": 3}),
    ],
    groups={"tools": ["tool"]},
).selected([])


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({"web": 5}, {"web:http": 5}),
        ({"web.http": 5}, {"web:http": 5}),
        ({"store.console": 5, "store.http": 6}, {"store:console": 5, "store:http": 6}),
        ({"store:console": 5}, {"store:console": 5}),
        ({None: "auto"}, {"web:http": "auto", "store:http": "auto", "store:console": "auto"}),
        ({"web": 5, None: "auto"}, {"web:http": 5, "store:http": "auto", "store:console": "auto"}),
    ],
)
def test_a_port_is_chosen_by_its_name(asked: Mapping[str | None, PortChoice], chosen: Mapping[str, PortChoice]) -> None:
    assert chosen_ports(DESK, asked) == chosen


ALL = "write --port web.http=PORT, --port store.http=PORT, --port store.console=PORT"


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        ({None: 5}, "--port 5: which port?", ALL),
        (
            {"store": 5},
            "--port: 'store' publishes several ports",
            "write --port store.http=PORT, --port store.console=PORT",
        ),
        ({"store.own": 5}, "--port: 'store.own' publishes no port", ALL),
        ({"store.x": 5}, "--port: 'store.x' publishes no port", ALL),
        ({"db": 5}, "--port: 'db' publishes no port", ALL),
        ({"fly": 5}, "--port: 'fly' is not a component of desk", ALL),
        ({"fly.http": 5}, "--port: 'fly' is not a component of desk", ALL),
        ({"web": 5, "web.http": 6}, "--port: web and web.http are the same port", "leave one of them out"),
        ({"tool": 5}, "--port: 'tool' is in the group 'tools', which is off", "`--with tools` turns it on"),
    ],
)
def test_a_wrong_name_of_a_port_is_answered_with_the_right_ones(
    asked: Mapping[str | None, PortChoice], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        chosen_ports(DESK, asked)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_a_stack_without_a_published_port_says_how_to_publish_one() -> None:
    for asked in ({None: 5}, {"db": "auto"}):
        with pytest.raises(UsageError) as raised:
            chosen_ports(Stack("desk", [DESK["db"]]), asked)  # type: ignore[arg-type]
        assert raised.value.hint == "no component publishes a port; `publish=` in the stack file does"


def test_two_components_on_one_port_are_refused_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, udp=False: True)
    with pytest.raises(StackError) as raised:
        ports.check_ports(opened(chosen={CONSOLE: 9200}), NOTHING)
    assert (raised.value.code, raised.value.message) == (
        "port-taken",
        "port 9200 of localhost is that of search and of search.console",
    )
    assert "`stackctl up --port search.console=" in raised.value.hint


@pytest.mark.parametrize(
    ("published", "registered", "found"),
    [
        ("127.0.0.1:9300->9200/tcp, 127.0.0.1:5700->5601/tcp", {SEARCH: 9300, CONSOLE: 5700}, None),
        # Docker writes neighbours as one range.
        ("127.0.0.1:9300-9301->9200-9201/tcp", {SEARCH: 9300, CONSOLE: 9301}, None),
        ("127.0.0.1:9300-9301->9200-9201/tcp", {}, {"search": 9300, "search:9201": 9301}),
        ("9200/tcp, 127.0.0.1:9300->9200/tcp", {}, {"search": 9300}),
        ("", {SEARCH: 9300}, {}),
    ],
    ids=["two", "range", "unregistered", "exposed", "none"],
)
def test_a_found_instance_has_each_published_port(
    monkeypatch: pytest.MonkeyPatch,
    published: str,
    registered: Mapping[PortId, int],
    found: Mapping[str, int] | None,
) -> None:
    row = ["p-search-1", "running", "Up 3 minutes", published, "2026-11-24 12:56:45 +0000 UTC", "search", ""]
    line = "\t".join([*row, "p", "shop", "/state"])

    def answer(arguments: list[str], *_: object, **options: object) -> Completed:
        return Completed(0, f"{line}\n" if arguments[0] == "ps" else "", "")

    monkeypatch.setattr(client, "run", answer)
    entry = Entry("p", "shop", "compose", Path("/state"), Path("/shop.py"), registered, "2026-11-24T12:56:45+00:00")
    (instance,) = ComposeFleet().find([entry])
    assert instance.ports == (registered if found is None else found)
