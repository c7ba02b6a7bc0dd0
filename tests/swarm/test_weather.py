"""What goes wrong on many machines is told with the node, mended by the Swarm where it can be, and loses no visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import Cli, eventually, get
from tests.engine.swarm import HOST_LABEL, Swarm
from tests.swarm.nodes import nodes_of

pytestmark = [pytest.mark.swarm, pytest.mark.long]

DATA_LABEL = "stackctl.data"


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Cli]) -> Cli:
    """A shop of its own, whose tests leave it up."""
    cli = new_shop()
    cli.up()
    return cli


CREW = """\
from stack import Container, Stack, Volume, Worker

keeper = Container("keeper", image="redis:8", command=["sleep", "1000"], volumes={"/data": Volume("kept")})
worker = Worker("worker", source="app", command=["sleep", "1000"], replicas=3)
stack = Stack("crew", [keeper, worker], registry="REGISTRY/tests")
"""


@pytest.fixture
def crew(swarm: Swarm, tmp_path: Path) -> Iterator[Cli]:
    """Workers on each node, and data on the third one."""
    tmp_path.chmod(0o755)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM python:3.14-slim\n", encoding="utf-8")
    file = tmp_path / "stackfile.py"
    file.write_text(CREW.replace("REGISTRY", swarm.registry), encoding="utf-8")
    swarm.first.docker("node", "update", "--label-add", DATA_LABEL, swarm.hosts[2].name)
    cli = Cli(tmp_path, file=file, engine="swarm")
    yield cli
    swarm.first.docker("node", "update", "--label-rm", DATA_LABEL, swarm.hosts[2].name)
    assert cli.reset().exit_code == 0


@pytest.fixture
def counter(swarm: Swarm, tmp_path: Path) -> Iterator[Cli]:
    """The visit counter, up, with its data on the first host."""
    cli = Cli(tmp_path, engine="swarm")
    cli.up()
    yield cli
    eventually(lambda: all(host.process is not None for host in swarm.hosts))
    assert cli.reset().exit_code == 0


def edit(cli: Cli, old: str, new: str) -> None:
    source = cli.folder / "web" / "web.py"
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new), encoding="utf-8")


def test_a_version_that_fails_is_taken_back_and_told_with_its_lines(shop: Cli) -> None:
    edit(shop, 'print("serving"', 'raise SystemExit("boom: no such setting")\nprint("serving"')
    error = shop.fails("up", code="update-taken-back")
    assert "web failed on the node host1" in error["message"]
    assert "boom: no such setting" in error["output"]
    assert eventually(lambda: shop.get()[1].get("version")) == "one"
    edit(shop, 'raise SystemExit("boom: no such setting")\n', "")
    shop.up()
    assert not shop.data("plan")["changes"]


def test_a_registry_that_refuses_is_named_and_nothing_built_runs(crew: Cli) -> None:
    elsewhere = {"STACKCTL_REGISTRY": "127.0.0.1:9/tests"}
    refused = Cli(crew.folder, crew.instance, crew.port, crew.file, "swarm", elsewhere)
    error = refused.fails("up", code="registry-refused")
    assert "the registry 127.0.0.1:9 did not take the image" in error["message"]
    assert "connection refused" in error["message"]
    assert "docker login 127.0.0.1:9" in error["hint"]
    assert crew.data("status")["components"]["worker"]["state"] == "absent"
    crew.ok("up")
    assert crew.data("status")["state"] == "up"


def test_a_node_of_which_nothing_is_said_is_named_with_what_to_type(crew: Cli, swarm: Swarm) -> None:
    host = swarm.hosts[2]
    crew.ok("up")
    swarm.first.docker("node", "update", "--label-rm", HOST_LABEL, host.name)
    try:
        error = crew.fails("exec", "keeper", "--", "true", code="node-unreachable")
        assert host.name in error["message"]
        assert f"docker node update --label-add {HOST_LABEL}=ssh://USER@{host.address} {host.name}" in error["hint"]
        assert crew.data("status")["state"] == "up"
    finally:
        swarm.first.docker("node", "update", "--label-add", f"{HOST_LABEL}={host.url}", host.name)
    assert crew.ok("exec", "keeper", "--", "echo", "here").stdout == "here\n"


def test_a_full_disk_of_a_node_is_told_with_the_node(crew: Cli, swarm: Swarm) -> None:
    host, dockerfile = swarm.hosts[1], crew.folder / "app" / "Dockerfile"
    assert not crew.ok("up").stderr.count("full")
    for number, again in (("1", False), ("2", True)):
        if not again:
            crew.ok("down")
        dockerfile.write_text(dockerfile.read_text() + f"RUN head -c 300000{number} /dev/urandom > /large\n")
        host.fill_disk()
        try:
            error = crew.fails("up", code="disk-full")
            assert f"the disk of the node {host.name} is full" in error["message"]
            assert f"docker --host {host.url} system df" in error["hint"]
            assert ("the version before" in error["message"]) is again
        finally:
            host.free_disk()
        crew.ok("up")
        assert crew.data("status")["state"] == "up"
    assert not crew.data("plan")["changes"]


def test_a_swarm_without_its_quorum_says_so(counter: Cli, swarm: Swarm) -> None:
    web = nodes_of(swarm, counter, "web")[0]
    url, others = counter.url, [host for host in swarm.hosts if host is not swarm.first]
    for host in others:
        host.kill()
    try:
        error = eventually(lambda: counter.run("--json", "status").envelope["error"], within=90, every=1)
        assert error["code"] == "no-swarm"
        assert "quorum" in error["message"]
        if web is swarm.first:
            assert get(url)[0] == 200
    finally:
        for host in others:
            swarm.revive(host)
    eventually(lambda: counter.run("status").exit_code == 0, within=120)
