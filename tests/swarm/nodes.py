"""What the tests ask of the Swarm itself: the states of its nodes, and where the tasks of a component are."""

from __future__ import annotations

from tests.cli import Cli
from tests.engine.machine import Problem
from tests.engine.swarm import Host, Swarm


def states(swarm: Swarm) -> dict[str, str]:
    lines = swarm.first.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}").splitlines()
    return dict(line.split() for line in lines)


def all_ready(swarm: Swarm) -> bool:
    """Whether all are ready, and managers that agree; not while they elect one."""
    try:
        found = swarm.first.docker("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").splitlines()
    except Problem:
        return False
    return sorted(found) == ["Ready Leader", *["Ready Reachable"] * (len(swarm.hosts) - 1)]


def leader(swarm: Swarm, asked: Host | None = None) -> Host:
    lines = (asked or swarm.first).docker("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}").splitlines()
    name = next(line.split()[0] for line in lines if line.endswith("Leader"))
    return next(host for host in swarm.hosts if host.name == name)


def nodes_of(swarm: Swarm, cli: Cli, component: str) -> list[Host]:
    """Find the hosts that the tasks of a component run on."""
    of_it = ["--filter", f"label=stackctl.instance={cli.instance}", "--filter", f"name={project(cli)}_{component}"]
    service = swarm.first.docker("service", "ls", "--quiet", *of_it)
    running = ["--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}"]
    tasks = swarm.first.docker("service", "ps", *running, service).splitlines()
    names = {line.split()[0] for line in tasks if line.split()[1] == "Running"}
    return [host for host in swarm.hosts if host.name in names]


def project(cli: Cli) -> str:
    record: str = (cli.state / "record.json").read_text(encoding="utf-8")
    return record.split('"project": "')[1].partition('"')[0]
