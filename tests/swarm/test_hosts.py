"""The hosts that the tests bring are a Swarm: they know each other, pull images, and fall and rise as machines do."""

from __future__ import annotations

import pytest

from tests.cli import eventually
from tests.engine.swarm import Host, Swarm
from tests.swarm.nodes import all_ready, states

pytestmark = [pytest.mark.swarm, pytest.mark.long]


def test_three_hosts_are_ready_and_managers(swarm: Swarm) -> None:
    assert eventually(lambda: all_ready(swarm))
    assert [*sorted(states(swarm))] == ["host1", "host2", "host3"]


def test_a_host_pulls_an_image_from_the_registry(swarm: Swarm) -> None:
    assert "redis@sha256:" in _pulled(swarm.hosts[2], "redis:8")


def _pulled(host: Host, image: str) -> str:
    host.docker("pull", "--quiet", image)
    return host.docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', image)


def test_a_host_that_is_killed_is_down_and_comes_back(swarm: Swarm) -> None:
    last = swarm.hosts[2]
    last.kill()
    eventually(lambda: states(swarm)["host3"] == "Down")
    swarm.revive(last)
    eventually(lambda: all_ready(swarm))


def test_a_host_whose_cable_is_pulled_is_down_and_comes_back(swarm: Swarm) -> None:
    last = swarm.hosts[2]
    last.cut_off()
    eventually(lambda: states(swarm)["host3"] == "Down")
    last.reconnect()
    eventually(lambda: all_ready(swarm))
