"""What a container reaches: what it uses, by name and by address, and nothing else of the stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli import Cli
from tests.ports import own_port

pytestmark = pytest.mark.docker

DOCKERFILE = """\
FROM python:3.14-slim
WORKDIR /app
COPY . .
CMD ["python3", "app.py"]
"""
APP = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
STACK = """\
from stack import Postgres, Redis, Stack, WebApp

db, cache = Postgres("db"), Redis("cache")
web = WebApp("web", source="app", port=8000, publish={0}, uses=["cache", "api"])
api = WebApp("api", source="app", port=8001, publish={1}, uses=["db"])
lone = WebApp("lone", source="app", port=8002, publish={2})
stack = Stack("shop", [web, api, lone, db, cache])
"""
PORTS = {"web": 8000, "api": 8001, "lone": 8002, "db": 5432, "cache": 6379}
REACHED = {
    "web": {"web", "cache", "api"},
    # On the network of those that use it there is a way back.
    "api": {"api", "db", "web"},
    "lone": {"lone"},
}
# Prints which of the names, and of the addresses, take a connection.
PROBE = """\
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def takes(asked):
    try:
        socket.create_connection(tuple(asked[1:]), 1).close()
    except OSError:
        return False
    return True
asked = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(asked)) as pool:
    print(json.dumps([each[0] for each, taken in zip(asked, pool.map(takes, asked)) if taken]))
"""


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout


def inspected(cli: Cli) -> dict[str, Any]:
    """What `docker inspect` says of each container of an instance."""
    label = f"label=com.docker.compose.project={project_of(cli)}"
    found = json.loads(docker("inspect", *docker("ps", "--quiet", "--filter", label).split()))
    return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}


def project_of(cli: Cli) -> str:
    return str(cli.data("env")["COMPOSE_PROJECT_NAME"])


def networks_of(cli: Cli) -> set[str]:
    label = f"label=com.docker.compose.project={project_of(cli)}"
    names = docker("network", "ls", "--format", "{{.Name}}", "--filter", label).split()
    return {name.removeprefix(f"{project_of(cli)}_") for name in names}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    folder = tmp_path_factory.mktemp("fence")
    (folder / "app").mkdir()
    (folder / "app" / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "app" / "app.py").write_text(APP, encoding="utf-8")
    file = folder / "shop.py"
    file.write_text(STACK.format(own_port(), own_port(), own_port()), encoding="utf-8")
    cli = Cli(folder, file=file)
    try:
        cli.ok("up")
        yield cli
    finally:
        cli.reset()


def reached(cli: Cli, name: str, hosts: Mapping[str, list[str]]) -> set[str]:
    """The components that take a connection of `name`, at one of their hosts."""
    asked = json.dumps([(other, host, PORTS[other]) for other in PORTS for host in hosts[other]])
    return set(json.loads(cli.ok("exec", name, "--", "python3", "-c", PROBE, asked).stdout))


@pytest.mark.parametrize("name", REACHED)
def test_an_app_reaches_what_it_uses_by_name_and_nothing_else(name: str, shop: Cli) -> None:
    assert reached(shop, name, {other: [other] for other in PORTS}) == REACHED[name]


@pytest.mark.parametrize("name", REACHED)
def test_an_app_reaches_what_it_uses_by_address_and_nothing_else(name: str, shop: Cli) -> None:
    addresses = {
        other: [network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values()]
        for other, container in inspected(shop).items()
    }
    assert reached(shop, name, addresses) == REACHED[name]


@pytest.mark.long
def test_without_isolation_all_reach_each_other_by_two_networks(shop: Cli) -> None:
    """The last of the tests of `shop`, which it declares anew."""
    assert shop.file is not None
    shop.file.write_text(shop.file.read_text().replace("cache])", "cache], isolated=False)"), encoding="utf-8")
    assert any("all components reach each other" in notice for notice in shop.data("plan")["notices"])
    shop.ok("up")
    assert networks_of(shop) == {"inside", "outside"}
    assert all(reached(shop, name, {other: [other] for other in PORTS}) == set(PORTS) for name in REACHED)
    assert shop.data("up")["changed"] is False


@pytest.mark.long
def test_an_instance_moves_to_networks_of_its_own_and_keeps_its_data(kept: Cli, tmp_path: Path) -> None:
    """As an earlier stackctl made it."""
    count = kept.visit()
    project = yaml.safe_load(kept.ok("render").stdout)
    for service in project["services"].values():
        service["networks"] = ["frontend", "backend"] if "ports" in service else ["backend"]
        service["labels"]["stackctl.declaration"] = "000000000000"
    labels = project["networks"].popitem()[1]["labels"]
    project["networks"] = {"frontend": {"labels": labels}, "backend": {"internal": True, "labels": labels}}
    earlier = tmp_path / "earlier.yaml"
    earlier.write_text(yaml.safe_dump(project), encoding="utf-8")
    docker("compose", "--file", str(earlier), "--project-name", project_of(kept), "up", "--detach", "--wait")
    assert networks_of(kept) >= {"frontend", "backend"}

    kept.up()
    assert networks_of(kept) == {"web", "web.db"}
    assert kept.visit() == count + 1
    assert kept.data("up")["changed"] is False


def test_a_container_that_was_joined_to_a_network_by_hand_is_drift(kept: Cli) -> None:
    other = f"{kept.instance}-other"
    docker("network", "create", other)
    try:
        docker("network", "connect", other, inspected(kept)["cache"]["Id"])
        (action,) = [each for each in kept.data("plan")["actions"] if each["action"] != "keep"]
        assert (action["component"], action["drift"]) == ("cache", True)
        kept.up()
        assert other not in inspected(kept)["cache"]["NetworkSettings"]["Networks"]
    finally:
        docker("network", "rm", other)
