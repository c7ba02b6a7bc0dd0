"""What goes wrong on many machines is told with the node, mended by the Swarm where it can be, and loses no visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import Cli, eventually, get
from tests.engine.swarm import HOST_LABEL, Swarm
from tests.swarm.nodes import nodes_of

pytestmark = pytest.mark.swarm


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Cli]) -> Cli:
    """A shop of its own, whose tests leave it up."""
    cli = new_shop()
    cli.up()
    return cli


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


def test_a_node_of_which_nothing_is_said_is_named_with_what_to_type(counter: Cli, swarm: Swarm) -> None:
    host = nodes_of(swarm, counter, "web")[0]
    if host is swarm.first:
        pytest.skip("the app is on the node that is asked, which needs no label")
    swarm.first.docker("node", "update", "--label-rm", HOST_LABEL, host.name)
    try:
        error = counter.fails("exec", "web", "--", "true", code="node-unreachable")
        assert host.name in error["message"]
        assert f"docker node update --label-add {HOST_LABEL}=ssh://USER@{host.address} {host.name}" in error["hint"]
        assert counter.data("status")["state"] == "up"
    finally:
        swarm.first.docker("node", "update", "--label-add", f"{HOST_LABEL}={host.url}", host.name)


@pytest.mark.long
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
