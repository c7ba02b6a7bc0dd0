"""What Docker really runs: least privilege, nothing published but the app, the password nowhere to be read."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.cli import Cli

pytestmark = pytest.mark.docker

COMPONENTS = ("web", "db", "cache")


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def containers(up: Cli) -> dict[str, Any]:
    """What `docker inspect` says of each component."""
    project = up.data("env")["COMPOSE_PROJECT_NAME"]
    ids = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()
    found = json.loads(docker("inspect", *ids))
    return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}


@pytest.mark.parametrize("name", COMPONENTS)
def test_it_runs_with_least_privilege(name: str, containers: dict[str, Any]) -> None:
    host = containers[name]["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["ReadonlyRootfs"] is True
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Privileged"] is False
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0


def of_processes(cli: Cli, component: str, file: str) -> str:
    """Read a file of each process of a container; one that checks the health may begin or end meanwhile."""
    script = f"cat /proc/1/{file} && {{ cat /proc/[0-9]*/{file} || true; }}"
    return cli.ok("exec", component, "--", "sh", "-c", script).stdout


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_process_is_root_or_has_a_capability(name: str, up: Cli) -> None:
    processes = of_processes(up, name, "status").split("Name:\t")[1:]
    # Docker's own program, which is about to become one that checks the health.
    programs = [process for process in processes if not process.startswith("runc")]
    status = "".join(programs).splitlines()
    assert programs
    users = {line.split()[1] for line in status if line.startswith("Uid:")}
    capabilities = {line.split()[1] for line in status if line.startswith("CapEff:")}
    assert "0" not in users
    assert {int(mask, 16) for mask in capabilities} == {0}


@pytest.mark.parametrize("name", COMPONENTS)
def test_its_files_cannot_be_changed(name: str, up: Cli) -> None:
    for path in ("/", "/etc", "/usr/bin"):
        assert up.run("exec", name, "--", "touch", f"{path}/x").exit_code != 0


def test_only_the_app_is_published_and_only_on_loopback(up: Cli, containers: dict[str, Any]) -> None:
    published = {name: container["NetworkSettings"]["Ports"] for name, container in containers.items()}
    assert published["web"]["8000/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(up.port)}]
    assert not any(published["db"].values())
    assert not any(published["cache"].values())


@pytest.mark.parametrize("name", ["db", "cache"])
def test_a_server_is_on_the_internal_network_alone(name: str, containers: dict[str, Any]) -> None:
    networks = containers[name]["NetworkSettings"]["Networks"]
    assert len(networks) == 1
    (network,) = json.loads(docker("network", "inspect", *networks))
    assert network["Internal"] is True
    assert network["Driver"] == "bridge"


def test_postgresql_asks_for_its_password_over_the_network(up: Cli) -> None:
    wrong = "PGPASSWORD=wrong psql -h db -U student -d student_notes -c 'SELECT 1'"
    refused = up.run("exec", "db", "--", "sh", "-c", wrong)
    assert refused.exit_code != 0
    assert "password authentication failed" in refused.stderr


def test_only_postgresql_has_a_volume(containers: dict[str, Any]) -> None:
    mounted = {
        name: [mount["Destination"] for mount in container["Mounts"] if mount["Type"] == "volume"]
        for name, container in containers.items()
    }
    assert mounted == {"web": [], "db": ["/var/lib/postgresql"], "cache": []}


def test_the_password_is_nowhere_to_be_read(up: Cli, containers: dict[str, Any]) -> None:
    password = (up.state / "secrets" / "db_password").read_text(encoding="utf-8")
    assert len(password) >= 32
    image = containers["web"]["Image"]
    places = {
        "docker inspect": json.dumps(containers),
        "docker history": docker("history", "--no-trunc", image),
        "command lines and environments": "".join(
            of_processes(up, name, file) for name in COMPONENTS for file in ("cmdline", "environ")
        ),
        "logs": up.ok("logs").stdout,
        "up": str(up.run("up", "--debug")),
        "render": up.ok("render").stdout,
        "env": up.ok("env").stdout,
        "state": "".join(
            path.read_text(encoding="utf-8")
            for path in up.state.rglob("*")
            if path.is_file() and path.parent.name != "secrets"
        ),
        "a failed query": str(up.run("inspect", "db", "--query", "SELECT 1/0", "--debug")),
    }
    assert [place for place, text in places.items() if password in text] == []


def test_the_image_of_the_app_holds_no_build_tools(up: Cli) -> None:
    tools = "for tool in gcc cc c++ make ld git curl wget; do command -v $tool; done; ls -d /venv/bin/pip* 2>/dev/null"
    assert up.run("exec", "web", "--", "sh", "-c", tools).stdout == ""
