"""A database has a standby on another node: no acknowledged visit is lost with the node of the primary.

Nothing takes over by itself: `failover` does, once the primary can't serve any more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pytest

from tests.cli import Cli, eventually, get
from tests.engine.swarm import Swarm
from tests.judging import judge
from tests.swarm.nodes import all_ready, project
from tests.swarm.standing import host, nodes_ready, primaries, standing, visiting

pytestmark = [pytest.mark.swarm, pytest.mark.long]


def edit(cli: Cli, old: str, new: str) -> None:
    assert cli.file is not None
    text = cli.file.read_text(encoding="utf-8")
    assert old in text
    cli.file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_standby_follows_on_another_node_and_is_relied_on(guarded: Cli, swarm: Swarm) -> None:
    found = standing(guarded)
    assert (found["state"], found["mode"], found["protected"]) == ("streaming", "sync", True)
    assert found["node"] != found["standby_node"]
    assert found["behind_bytes"] < 1_000_000
    assert primaries(swarm, guarded) == [found["node"]]
    shown = guarded.data("inspect", "db")["standby"]
    assert (shown["node"], shown["standby_node"], shown["state"]) == (found["node"], found["standby_node"], "streaming")
    said = " ".join(guarded.ok("inspect", "db").stdout.split())
    assert f"primary db on {found['node']}, standby db-standby on {found['standby_node']} (synchronous)" in said
    assert guarded.visit() > 0
    assert guarded.up()["changed"] is False
    notices = guarded.data("plan")["notices"]
    assert f"db-standby follows on the node {found['standby_node']}" in notices
    error = guarded.fails("failover", "cache", "--yes", code="usage", exit_code=2)
    assert "has no standby" in error["message"]


def test_no_visit_is_lost_with_the_node_of_the_primary(guarded: Cli, swarm: Swarm) -> None:
    before = standing(guarded)
    lost, page = host(swarm, before["node"]), f"killed{time.time_ns()}"
    load = visiting(guarded, swarm, page)
    try:
        lost.kill()
        killed = time.monotonic()
        # If the leader died, the new one knows of no node at first whether it is up.
        eventually(lambda: nodes_ready(guarded) == (False, True), within=60)
        began = time.monotonic()
        moved = guarded.data("failover", "db", "--yes")
        assert (moved["moved"], moved["from_node"], moved["to_node"]) == (["db"], lost.name, before["standby_node"])
        eventually(lambda: any(each.outcome == "ok" and each.start > began for each in load.log))
        served = min(each.end for each in load.log if each.outcome == "ok" and each.start > began)
        print(f"served {served - began:.1f} s after failover began, {served - killed:.1f} s after the node was lost")
    finally:
        load.stop()
        swarm.revive(lost)
    judge(guarded, load)
    eventually(lambda: all_ready(swarm), within=60)
    assert primaries(swarm, guarded) == [before["standby_node"]]
    assert standing(guarded)["state"] == "absent"
    guarded.up()
    after = standing(guarded)
    assert (after["node"], after["standby_node"], after["protected"]) == (before["standby_node"], lost.name, True)
    assert primaries(swarm, guarded) == [after["node"]]


def test_a_primary_that_is_cut_off_acknowledges_nothing_more(guarded: Cli, swarm: Swarm) -> None:
    before, page = standing(guarded), f"cut{time.time_ns()}"
    apart = host(swarm, before["node"])
    load = visiting(guarded, swarm, page)
    try:
        apart.cut_off()
        eventually(lambda: not standing(guarded)["node_ready"], within=60)
        assert primaries(swarm, guarded) == [apart.name], "it runs on, and what it would acknowledge is on one disk"
        guarded.ok("failover", "db", "--yes")
        goal = load.acknowledged() + 20
        eventually(lambda: load.acknowledged() > goal)
        apart.reconnect()
        eventually(lambda: primaries(swarm, guarded) == [before["standby_node"]])
        goal = load.acknowledged() + 20
        eventually(lambda: load.acknowledged() > goal)
    finally:
        apart.reconnect()
        load.stop()
    judge(guarded, load)
    eventually(lambda: all_ready(swarm), within=60)
    guarded.up()
    assert standing(guarded)["protected"]


def test_a_primary_that_is_well_is_stopped_first_and_loses_nothing(guarded: Cli, swarm: Swarm) -> None:
    before, page = standing(guarded), f"moved{time.time_ns()}"
    load = visiting(guarded, swarm, page)
    try:
        moved = guarded.data("failover", "db", "--yes")
        goal = load.acknowledged() + 20
        eventually(lambda: load.acknowledged() > goal)
    finally:
        load.stop()
    print(f"failover took {moved['seconds']:.1f} s")
    judge(guarded, load)
    assert primaries(swarm, guarded) == [before["standby_node"]]
    guarded.up()
    assert standing(guarded)["protected"]


def test_after_a_rotation_only_the_new_passwords_work(guarded: Cli, swarm: Swarm) -> None:
    before, old, page = standing(guarded), secrets(guarded), f"rotated{time.time_ns()}"
    load = visiting(guarded, swarm, page)
    try:
        guarded.ok("rotate", "db")
        new = secrets(guarded)
        assert set(new.values()).isdisjoint(old.values())
        assert standing(guarded)["protected"]
        _disconnect(guarded)
        eventually(lambda: standing(guarded)["protected"])
        assert _let_in(guarded, new) == dict.fromkeys(new, True)
        assert _let_in(guarded, old) == dict.fromkeys(old, False)
        guarded.ok("failover", "db", "--yes")
        goal = load.acknowledged() + 20
        eventually(lambda: load.acknowledged() > goal)
    finally:
        load.stop()
    judge(guarded, load)
    assert primaries(swarm, guarded) == [before["standby_node"]]
    assert _let_in(guarded, new) == dict.fromkeys(new, True)
    assert _let_in(guarded, old) == dict.fromkeys(old, False)
    guarded.up()
    assert standing(guarded)["protected"]


def test_a_rotation_first_makes_a_standby_that_is_gone(guarded: Cli, swarm: Swarm) -> None:
    before, old = standing(guarded), secrets(guarded)
    lost = host(swarm, before["standby_node"])
    lost.kill()
    try:
        eventually(lambda: nodes_ready(guarded) == (True, False), within=60)
        guarded.ok("rotate", "db")
        after, new = standing(guarded), secrets(guarded)
    finally:
        swarm.revive(lost)
    eventually(lambda: all_ready(swarm), within=60)
    assert after["standby_node"] not in (before["node"], lost.name)
    assert after["protected"]
    assert _let_in(guarded, new) == dict.fromkeys(new, True)
    assert _let_in(guarded, old) == dict.fromkeys(old, False)
    label = f"stackctl.standby.{project(guarded)}"
    swarm.first.docker("node", "update", "--label-rm", label, after["standby_node"])
    guarded.up()
    assert standing(guarded)["standby_node"] == lost.name, "it is where it was, for the tests that follow"


def secrets(cli: Cli) -> dict[str, str]:
    """Return the passwords of the declared user and of the standby."""
    folder = cli.state / "secrets"
    return {name: (folder / name).read_text(encoding="utf-8") for name in ("db_password", "db_standby")}


def _disconnect(cli: Cli) -> None:
    """End the connection of the standby, so that it has to log in again."""
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication"
    done = cli.ok("exec", "db", "--", "psql", "-U", "stackctl_admin", "-d", "postgres", "-Atc", ended)
    assert done.stdout.strip() == "1", done


def _let_in(cli: Cli, passwords: Mapping[str, str]) -> dict[str, bool]:
    """Say which passwords the primary takes over the network."""
    accounts = {
        "db_password": ("user=student dbname=student_notes", "SELECT 1"),
        "db_standby": ("user=stackctl_standby replication=true", "IDENTIFY_SYSTEM"),
    }
    found = {}
    for name, (account, question) in accounts.items():
        script = f'PGPASSFILE=/dev/null PGPASSWORD={passwords[name]} psql -w -d "host=db {account}" -c "{question}"'
        asked = cli.run("exec", "db", "--", "sh", "-c", script)
        assert asked.exit_code == 0 or "password authentication failed" in asked.stderr, asked
        found[name] = asked.exit_code == 0
    return found


def test_data_that_is_replaced_is_followed_too(guarded: Cli) -> None:
    page = f"saved{time.time_ns()}"
    visits: Sequence[int] = [get(f"{guarded.url}/visits/{page}")[0] for _ in range(2)]
    assert visits
    guarded.ok("snapshot", "save", page)
    guarded.ok("rotate", "db")
    assert standing(guarded)["protected"]
    guarded.ok("snapshot", "restore", page, "--yes")
    assert standing(guarded)["protected"]
    guarded.ok("undo", "--yes")
    assert standing(guarded)["protected"]
    assert guarded.visit() > 0


def test_a_migration_after_down_does_not_wait_for_ever(guarded: Cli) -> None:
    guarded.ok("down")
    edit(guarded, "standby=True", 'standby=True, databases=["more"]')
    done = guarded.up()
    assert done["components"]["db-standby"]["health"] == "healthy"
    assert standing(guarded)["protected"]


def test_a_standby_that_is_not_waited_for_is_declared_so(guarded: Cli) -> None:
    edit(guarded, "standby=True", 'standby="async"')
    guarded.up()
    found = standing(guarded)
    assert (found["mode"], found["state"], found["protected"]) == ("async", "streaming", False)
    guarded.ok("stop", "db-standby")
    assert guarded.visit() > 0
    guarded.up()
    edit(guarded, 'standby="async"', "standby=True")
    guarded.up()
    assert standing(guarded)["protected"]


def test_a_database_without_its_standby_again_waits_for_nothing(guarded: Cli) -> None:
    edit(guarded, "standby=True", "standby=False")
    guarded.up()
    assert guarded.data("status")["standbys"] == {}
    assert guarded.visit() > 0
    edit(guarded, "standby=False", "standby=True")
    guarded.up()
    assert standing(guarded)["protected"]


def test_nothing_is_acknowledged_until_there_is_a_standby_again(guarded: Cli, swarm: Swarm) -> None:
    before, page = standing(guarded), f"waits{time.time_ns()}"
    lost = host(swarm, before["standby_node"])
    load = visiting(guarded, swarm, page)
    try:
        lost.kill()
        eventually(lambda: standing(guarded)["state"] == "absent", within=60)
        waited = load.acknowledged()
        said = guarded.ok("status").stdout
        assert "db-standby does not follow" in " ".join(said.split())
        assert load.acknowledged() == waited
        guarded.fails("failover", "db", "--yes", code="standby-late")
        eventually(lambda: not standing(guarded)["standby_node_ready"], within=60)
        guarded.up()
        eventually(lambda: load.acknowledged() > waited)
    finally:
        load.stop()
        swarm.revive(lost)
    eventually(lambda: all_ready(swarm), within=60)
    judge(guarded, load)
    after = standing(guarded)
    assert after["standby_node"] not in (before["node"], lost.name)
    assert after["protected"]
