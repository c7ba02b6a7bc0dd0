"""A stack on three nodes is made, looked at, entered, saved and removed by the same commands as on one machine."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.cli import Cli
from tests.engine.swarm import Swarm

pytestmark = [pytest.mark.swarm, pytest.mark.long]


def asked(cli: Cli) -> dict[str, Any]:
    """Ask the app at the address that `status` gives."""
    url = cli.data("status")["urls"]["web"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def rows(cli: Cli) -> int:
    return int(cli.ok("exec", "db", "--", "psql", "-U", "app", "-Atc", "SELECT count(*) FROM visits").stdout)


def left(swarm: Swarm, cli: Cli) -> list[str]:
    """Name what the Swarm and its nodes have of an instance."""
    of_it = ["--filter", f"label=stackctl.instance={cli.instance}", "--quiet"]
    found = [swarm.first.docker(kind, "ls", *of_it) for kind in ("service", "network", "secret", "config")]
    found += [host.docker("volume", "ls", *of_it) for host in swarm.hosts]
    return [each for each in found if each]


def test_all_of_it_is_up_and_answers_at_a_node(shop: Cli) -> None:
    status = shop.data("status")
    states = {name: (each["state"], each["health"]) for name, each in status["components"].items()}
    assert states == {
        "web": ("running", "healthy"),
        "migrate": ("done", "none"),
        "worker": ("running", "none"),
        "db": ("running", "healthy"),
        "cache": ("running", "healthy"),
    }
    assert status["components"]["worker"]["replicas_well"] == 2
    assert asked(shop)["version"] == "one"


def test_another_up_changes_nothing(shop: Cli) -> None:
    assert not shop.data("plan")["changes"]
    assert shop.up()["changed"] is False


def test_the_plan_says_where_the_data_lives(shop: Cli) -> None:
    assert any("lives on the node host1" in notice for notice in shop.data("plan")["notices"])


def test_logs_come_from_every_node(shop: Cli) -> None:
    lines = shop.ok("logs", "worker", "migrate").stdout
    assert "worker-1 | working" in lines
    assert "worker-2 | working" in lines
    assert "worker-2 | complaining" in lines
    assert "migrate  | migrated db" in lines


def test_a_command_runs_in_a_task_wherever_that_is(shop: Cli, swarm: Swarm) -> None:
    container = shop.ok("exec", "web", "--", "hostname").stdout.strip()
    assert any(container in host.docker("ps", "--quiet") for host in swarm.hosts)
    assert shop.run("exec", "web", "--", "sh", "-c", "exit 7").exit_code == 7


def test_a_command_beside_the_tasks_has_what_they_have(shop: Cli) -> None:
    script = 'wc -c < $DB_PASSWORD_FILE; test -n "$SECRET_KEY" && echo $DB_HOST; exit 3'
    result = shop.run("run", "migrate", "--", "sh", "-c", script)
    assert (result.exit_code, result.stdout.split()[1:]) == (3, ["db"]), result


def test_no_secret_is_in_what_is_rendered(shop: Cli) -> None:
    secrets = [path.read_text().strip() for path in (shop.state / "secrets").iterdir()]
    text = shop.ok("render").stdout
    assert secrets
    assert not [secret for secret in secrets if secret in text]


def test_data_outlives_down_and_comes_back_by_a_snapshot(shop: Cli) -> None:
    shop.ok("exec", "db", "--", "psql", "-U", "app", "-qc", "CREATE TABLE visits AS SELECT 1 AS number")
    shop.ok("exec", "web", "--", "sh", "-c", "echo kept > /app/media/file")
    shop.ok("snapshot", "save", "one")
    shop.ok("down")
    shop.up()
    assert rows(shop) == 1
    shop.ok("exec", "db", "--", "psql", "-U", "app", "-qc", "INSERT INTO visits VALUES (2)")
    shop.ok("exec", "web", "--", "rm", "/app/media/file")
    shop.ok("snapshot", "restore", "one", "--yes")
    assert rows(shop) == 1
    assert shop.ok("exec", "web", "--", "cat", "/app/media/file").stdout == "kept\n"
    shop.ok("undo", "--yes")
    assert rows(shop) == 2


def test_a_password_is_rotated_and_no_object_outlives_its_use(shop: Cli, swarm: Swarm) -> None:
    names = "--filter", f"label=stackctl.instance={shop.instance}", "--format", "{{.Name}}"
    before = set(swarm.first.docker("secret", "ls", *names).split())
    shop.ok("rotate", "db")
    now = set(swarm.first.docker("secret", "ls", *names).split())
    assert len(now - before) == 1
    assert shop.data("status")["state"] == "up"
    shop.ok("down")
    assert swarm.first.docker("secret", "ls", *names) == ""
    shop.up()
    assert set(swarm.first.docker("secret", "ls", *names).split()) == now - before


def test_a_reset_leaves_nothing_on_any_node(shop: Cli, swarm: Swarm) -> None:
    assert left(swarm, shop)
    assert shop.reset().exit_code == 0
    assert left(swarm, shop) == []
