"""What the tests of standbys ask of an instance: where its servers are, and which of them accept writes."""

from __future__ import annotations

from typing import Any

from tests.cli import Cli, eventually
from tests.engine.machine import Problem
from tests.engine.swarm import Host, Swarm
from tests.load import Load


def standing(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = cli.data("status")["standbys"]["db"]
    return found


def nodes_ready(cli: Cli) -> tuple[bool, bool]:
    """Say whether the nodes of the primary and of the standby are up."""
    found = standing(cli)
    return found["node_ready"], found["standby_node_ready"]


def host(swarm: Swarm, name: str) -> Host:
    return next(each for each in swarm.hosts if each.name == name)


def visiting(cli: Cli, swarm: Swarm, page: str) -> Load:
    """Visitors who ask each node in turn."""
    load = Load(lambda: [cli.port], [page], visitors=4, readers=0, hosts=[each.address for each in swarm.hosts])
    load.start()
    eventually(lambda: load.acknowledged() > 50)
    return load


def primaries(swarm: Swarm, cli: Cli) -> list[str]:
    """Name the nodes on which a server of the database accepts writes."""
    found = []
    for each in swarm.hosts:
        filters = ["--filter", f"name=stackctl-{cli.instance}-", "--filter", "status=running"]
        names = each.docker("ps", *filters, "--format", "{{.ID}} {{.Image}}").splitlines() if each.process else []
        for container in [name.split()[0] for name in names if " postgres:" in name]:
            asked = ("psql", "-U", "stackctl_admin", "-d", "postgres", "-Atc", "SELECT pg_is_in_recovery()")
            try:
                found += [each.name] if each.docker("exec", container, *asked) == "f" else []
            except Problem as problem:
                # One that has ended since, or is about to, accepts none. A command that ends with it says nothing.
                if "is shutting down" not in str(problem):
                    _await_end(each, container)
    return found


def _await_end(host: Host, container: str) -> None:
    running = ("ps", "--quiet", "--filter", f"id={container}", "--filter", "status=running")
    eventually(lambda: not host.docker(*running), within=10)
