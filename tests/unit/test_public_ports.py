"""Ports that other machines reach: what declares them, what each engine makes of them, and that it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import BIND, Bucket, Container, DeclarationError, Mail, Postgres, Proxy, Redis, Stack, WebApp, Worker
from stack.component import Component
from stack.components.postgres import cluster
from stack.engines.compose.fleet import published
from stack.engines.compose.render import render
from stack.engines.embedded.layout import Layout, home_of
from stack.engines.embedded.render import environment, fields, resolve
from stack.instance import Instance, default_ports
from stack.workflow.planning import relaxations
from stack.workload import PortId, Target
from tests.unit.fake_engine import FakeEngine, World

EVERYWHERE = "listens on every address of this machine"
NOT_PUBLISHED = "opens published ports to other machines, and none is published; add publish="


def web(**options: Any) -> WebApp:
    return WebApp("web", source="app", command=["serve"], **options)


def box(**options: Any) -> Container:
    ports: dict[str, int | str] = {"http": 80, "admin": 81, "dns": "53/udp"}
    return Container("box", image="nginx:1.29", process=["serve"], ports=ports, **options)


def private(component: Component) -> Component:
    options: dict[str, Any] = {"public": False}
    return replace(component, **options)


def made(*components: Component) -> Instance:
    stack = Stack("shop", components)
    return Instance("shop", "stackctl-shop-0a1b2c", stack, Path("/p"), Path("/p/state"), default_ports(stack))


def layout_of(instance: Instance) -> Layout:
    ids = [port.id for name in instance.stack.names for port in instance.stack.own_workload(name, "process").ports]
    return Layout(home_of(instance), {id_: 20000 + number for number, id_ in enumerate(ids)}, {})


WRONG: Mapping[str, Callable[[], object]] = {
    "web/public: 'yes' is neither True nor False": lambda: web(public="yes"),
    "web/public: 1 is neither True nor False": lambda: web(public=1),
    "web/public: ['http'] is neither True nor False": lambda: web(public=["http"]),
    f"web/public: {NOT_PUBLISHED}": lambda: web(publish=None, public=True),
    "box/public: 'http' is not a list": lambda: box(publish={"http": 80}, public="http"),
    "box/public: 'admin' is none of its published ports; `publish` has 'http'": lambda: box(
        publish={"http": 80}, public=["admin"]
    ),
    f"box/public: {NOT_PUBLISHED}": lambda: box(public=True),
    f"db/public: {NOT_PUBLISHED}": lambda: Postgres("db", public=True),
    f"cache/public: {NOT_PUBLISHED}": lambda: Redis("cache", public=True),
    f"mail/public: {NOT_PUBLISHED}": lambda: Mail("mail", publish=None, public=True),
    f"proxy/public: {NOT_PUBLISHED}": lambda: Proxy("proxy", routes={"/": "web"}, publish=None, public=True),
    f"files/public: {NOT_PUBLISHED}": lambda: Bucket("files", buckets=["a-bucket"], public=True),
    "box/publish: ['80:80'] is not a mapping": lambda: box(publish=["80:80"]),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_told_with_its_path(message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        WRONG[message]()
    assert str(raised.value) == message


PUBLIC: Mapping[str, tuple[Component, list[str]]] = {
    "app": (web(public=True), ["8000:8000"]),
    "container": (box(publish={"http": 8080, "dns": 53}, public=True), ["8080:80", "53:53/udp"]),
    "database": (Postgres("db", publish=True, public=True), ["5432:5432"]),
    "cache": (Redis("cache", publish=True, public=True), ["6379:6379"]),
    "mail": (Mail("mail", public=True), ["8025:8025"]),
    "bucket": (Bucket("files", buckets=["a-bucket"], publish=True, public=True), ["9000:9000"]),
}


@pytest.mark.parametrize("case", PUBLIC)
def test_docker_publishes_on_every_address_only_what_is_public(case: str) -> None:
    public, ports = PUBLIC[case]
    for component, expected in ((public, ports), (private(public), [f"127.0.0.1:{each}" for each in ports])):
        service = yaml.safe_load(render(made(component)))["services"][component.name]
        assert service["ports"] == expected


@pytest.mark.parametrize("case", PUBLIC)
def test_without_docker_it_listens_there_and_others_do_not(case: str) -> None:
    def told(component: Component) -> str:
        instance = made(component)
        layout = layout_of(instance)
        words = [resolve(layout, word) for word in instance.stack.workload(component.name, "process").words or ()]
        return " ".join([*words, *environment(instance, layout, component.name).values()])

    public, _ = PUBLIC[case]
    assert "0.0.0.0" in told(public)
    assert "0.0.0.0" not in told(private(public))


def test_a_process_that_becomes_public_is_changed_and_others_are_not() -> None:
    def declared(component: Component) -> Mapping[str, str]:
        instance = made(component)
        return fields(instance, layout_of(instance))["web"]

    before, after = declared(web()), declared(web(public=True))
    assert "public" not in before
    assert {name for name in after if after[name] != before.get(name)} == {"public", "environment.BIND"}


def test_what_a_command_calls_its_address_is_every_one_too() -> None:
    for component in (
        web(public=True, environment={"A": BIND}),
        box(publish={"http": 1}, public=True, environment={"A": BIND}),
    ):
        instance = made(component)
        assert environment(instance, layout_of(instance), component.name)["A"] == "0.0.0.0"
    instance = made(web(environment={"A": BIND}))
    assert environment(instance, layout_of(instance), "web")["A"] == "127.0.0.1"


def test_a_proxy_may_be_public() -> None:
    instance = made(web(publish=None), Proxy("proxy", routes={"/": "web"}, public=True))
    assert yaml.safe_load(render(instance))["services"]["proxy"]["ports"] == ["8080:8080"]
    assert environment(instance, layout_of(instance), "proxy")["BIND"] == "0.0.0.0"


def test_a_private_port_beside_a_public_one_is_not_published() -> None:
    ports = box(publish={"http": 8080}, public=True).workload("container").ports
    assert {port.id.name: port.public for port in ports} == {"http": True, "admin": False, "dns": False}


def test_some_published_ports_may_be_public_alone() -> None:
    component = box(publish={"http": 8080, "admin": 81}, public=["http"])
    assert yaml.safe_load(render(made(component)))["services"]["box"]["ports"] == ["8080:80", "127.0.0.1:81:81"]


@pytest.mark.parametrize("target", ["container", "process"])
def test_it_is_listed_on_both_engines(target: Target) -> None:
    instance = made(web(public=True), Redis("cache", publish=True))
    engine = FakeEngine(World({}), instance)
    engine.traits = replace(engine.traits, target=target)

    class Opening:
        pass

    opened: Any = Opening()
    opened.instance, opened.engine = instance, engine
    assert relaxations(opened) == {"web": (EVERYWHERE,), "cache": ()}


def test_a_public_port_of_docker_is_listed_once() -> None:
    assert published("0.0.0.0:80->8080/tcp, [::]:80->8080/tcp, 127.0.0.1:81->81/tcp") == {8080: 80, 81: 81}


def test_a_public_database_lets_other_machines_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "problem", lambda data, major: None)
    monkeypatch.setattr("os.execv", lambda file, words: None)
    monkeypatch.setattr("signal.signal", lambda number, action: None)
    for name in ("pg_hba.conf", "pg_ident.conf"):
        (tmp_path / name).write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    words = ["--tools", "/t", "--major", "18", "--data", str(tmp_path), "--admin", "a", "--user", "u"]
    rest = ["--database", "d", "--password-file", "/f"]
    cluster.main([*words, *rest, "--", "postgres"])
    assert "host all all all scram-sha-256" not in (tmp_path / "pg_hba.conf").read_text()
    for _ in range(2):
        cluster.main([*words, *rest, "--public", "--", "postgres"])
    assert (tmp_path / "pg_hba.conf").read_text().count("host all all all scram-sha-256\n") == 1


def test_a_worker_does_not_open_the_port_of_its_app() -> None:
    app = web(public=True)
    worker = Worker("worker", of=app, command=["work"])
    assert worker.workload("process").public is False
    assert PortId.of("worker") not in default_ports(Stack("shop", [app, worker]))
