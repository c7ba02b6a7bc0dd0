"""Several instances on one machine: their ports, who changes one, the list of all, and what is left of those gone."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.ports import any_free
from tests.cli import ROOT, Cli
from tests.conformance.engines import on_docker_at_length, on_one_engine

Make = Callable[..., Cli]


def row(cli: Cli) -> dict[str, Any]:
    """The one line of `ls` that is the instance's."""
    (found,) = cli.data("ls")["instances"]
    assert isinstance(found, dict)
    return found


def published(cli: Cli) -> int:
    return int(cli.data("status")["urls"]["web"].rpartition(":")[2])


def up_anywhere(cli: Cli, *words: str) -> dict[str, Any]:
    """`up` without a port of the test's choice."""
    data = cli.data("up", *words)
    cli.port = int(data["urls"]["web"].rpartition(":")[2])
    return data


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The bundled stack, declared for a port beside which no other test looks for a free one."""
    file = tmp_path / "elsewhere.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from stack import Stack\n"
        "from stack.playground import cache, db, web\n"
        f"db = replace(db, migrations={str(ROOT / 'service' / 'migrations')!r})\n"
        f"web = replace(web, source={str(ROOT / 'service')!r}, publish={any_free()})\n"
        "stack = Stack('playground', [web, db, cache])\n",
        encoding="utf-8",
    )
    return file


@on_one_engine
@pytest.mark.long
def test_instances_get_ports_of_their_own_and_keep_them(new_cli: Make, elsewhere: Path) -> None:
    one, two = new_cli(file=elsewhere), new_cli(file=elsewhere)
    first, second = up_anywhere(one), up_anywhere(two)
    assert first["automatic_ports"] == {"web": one.port}
    assert second["automatic_ports"] == {"web": two.port}
    assert one.port != two.port
    assert (one.visit(), two.visit(), one.visit()) == (1, 1, 2)
    one.ok("down")
    # While it is down its port is not given away.
    three = new_cli(file=elsewhere)
    planned = three.ok("render").stdout
    up_anywhere(three)
    assert f"{three.port}" in planned, "`render` and `up` choose the same"
    assert three.port not in (one.port, two.port)
    again = up_anywhere(one)
    assert again["urls"] == first["urls"]
    assert again["automatic_ports"] == {}
    assert one.visit() == 3


@on_docker_at_length
@pytest.mark.long
def test_a_chosen_port_is_told_and_auto_leaves_one_that_is_taken(up: Cli, new_cli: Make, elsewhere: Path) -> None:
    cli = new_cli(file=elsewhere)
    error = cli.fails("up", "--port", str(up.port), code="port-taken")
    assert f"instance '{up.instance}'" in error["message"]
    cli.ok("up", "--port", "auto")
    cli.port = published(cli)
    assert cli.port != up.port
    count = cli.visit()
    again = cli.data("up")
    assert (again["automatic_ports"], again["urls"]) == ({}, {"web": f"http://localhost:{cli.port}"})
    assert cli.visit() == count + 1
    assert "was chosen for web" in cli.ok("up", "--port", "web=auto").stdout


@on_one_engine
def test_a_plan_for_a_new_instance_holds_for_its_automatic_port(new_cli: Make, elsewhere: Path, tmp_path: Path) -> None:
    cli = new_cli(file=elsewhere)
    saved = tmp_path / "next.json"
    cli.ok("plan", "--output", str(saved))
    up_anywhere(cli, "--plan", str(saved))
    assert cli.visit() == 1


@on_docker_at_length
def test_a_command_that_waits_says_for_which(kept: Cli) -> None:
    kept.ok("down")
    with kept.start("up") as up:
        assert up.stderr is not None
        assert any("db: starting" in line for line in up.stderr)
        up.send_signal(signal.SIGSTOP)
        try:
            with kept.start("stop") as stop:
                assert stop.stderr is not None
                waiting = next(line for line in stop.stderr if "waiting" in line)
                assert f"(process {up.pid})" in waiting
                assert "stackctl --instance" in waiting
                assert " up`" in waiting
                up.send_signal(signal.SIGCONT)
                said = stop.stderr.read()
                assert stop.wait(120) == 0, said
                assert said.count("waiting") == 0, "once is enough"
        finally:
            up.send_signal(signal.SIGCONT)
        said = up.stderr.read()
        assert up.wait(120) == 0, said
    assert kept.data("status")["state"] == "stopped"


@on_docker_at_length
def test_ls_shows_how_each_instance_is(cli: Cli) -> None:
    assert cli.data("ls")["instances"] == []
    cli.up()
    line = row(cli)
    assert (line["instance"], line["engine"], line["state"]) == (cli.instance, cli.engine, "up")
    assert line["urls"] == {"web": cli.url.replace("127.0.0.1", "localhost")}
    assert line["bytes"] > 10**6, "a cluster of PostgreSQL is no less"
    assert line["state_folders"] == [str(cli.state)]
    shown = cli.ok("ls").stdout
    assert cli.instance in shown
    assert f"http://localhost:{cli.port}" in shown
    assert "playground in" in shown
    cli.ok("stop")
    assert row(cli)["state"] == "stopped"
    assert row(cli)["urls"] == {}
    cli.ok("down")
    assert row(cli)["state"] == cli.data("status")["state"] == "absent"
    cli.reset()
    assert cli.data("ls")["instances"] == []


@on_one_engine
@pytest.mark.long
def test_ls_runs_no_stack_file(new_cli: Make, tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    shutil.copy(ROOT / "stack" / "playground.py", file)
    file.write_text(file.read_text().replace('"../service', f'"{ROOT / "service"}'))
    cli = new_cli(file=file)
    cli.up()
    good = file.read_text()
    file.write_text("this is no Python")
    line = row(cli)
    assert (line["state"], line["file"], line["file_gone"]) == ("up", str(file), False)
    file.unlink()
    assert row(cli)["file_gone"] is True
    assert f"{file} (gone)" in cli.ok("ls").stdout
    file.write_text(good)


def test_ls_without_docker_says_so_and_shows_the_rest(up: Cli) -> None:
    nowhere = replace(up, environment={"DOCKER_HOST": "unix:///nowhere/docker.sock", "STACKCTL_ENGINE": ""})
    data = nowhere.data("ls")
    assert [line["state"] for line in data["instances"]] == ["unknown" if up.engine == "compose" else "up"]
    assert data["silent"]["compose"]["code"] == "docker-daemon"
    assert ("compose can't be asked" in nowhere.ok("ls").stdout) == (up.engine == "compose")
    assert "compose can't be asked" in nowhere.ok("ls", "--all").stdout


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Cli]:
    """An instance that was up when its state folder was deleted, for tests that only look at it."""
    with orphaned(Cli(tmp_path_factory.mktemp("orphan"), engine=engine)) as cli:
        yield cli


@contextmanager
def orphaned(cli: Cli) -> Iterator[Cli]:
    """Bring an instance up and delete its state folder; nothing is left of it afterwards."""
    try:
        cli.up()
        cli.visit()
        shutil.rmtree(cli.state)
        yield cli
    finally:
        cli.run("prune", "--yes", "--data")


def left(cli: Cli) -> object:
    """Everything that the machine has of an instance."""
    (found,) = cli.data("ls")["instances"]
    plan = cli.data("prune", "--data", "--dry-run")
    return found["state"], found["running"], plan["orphans"]


def test_leftovers_are_shown_and_a_dry_run_keeps_them(orphan: Cli) -> None:
    line = row(orphan)
    assert (line["state"], line["running"]) == ("orphaned", True)
    assert "stackctl prune" in orphan.ok("ls").stdout
    before = left(orphan)
    said = orphan.ok("prune", "--dry-run").stdout
    assert str(orphan.state) in said
    assert "web" in said or "supervisord" in said
    assert left(orphan) == before
    error = orphan.fails("prune", code="usage", exit_code=2)
    assert "--yes" in error["hint"]
    assert left(orphan) == before
    assert orphan.get("/livez")[0] == 200


def test_prune_ends_what_is_left_and_keeps_data_until_it_is_told(cli: Cli) -> None:
    with orphaned(cli) as orphan:
        _prune(orphan)


def _prune(orphan: Cli) -> None:
    pruned = orphan.data("prune", "--yes")
    (member,) = pruned["orphans"]
    assert pruned["removed"] is True
    assert orphan.get("/livez")[0] == 0, "nothing serves any more"
    if member["keeps"]:
        line = row(orphan)
        assert (line["state"], line["running"]) == ("orphaned", False)
        assert "DATA" in orphan.ok("prune", "--dry-run").stdout
        assert "DATA" in orphan.ok("prune", "--dry-run", "--data").stdout
        (again,) = orphan.data("prune", "--yes", "--data")["orphans"]
        assert again["removes"] == {"data": member["keeps"]}
    assert orphan.data("ls")["instances"] == []
    assert "nothing to remove" in orphan.ok("prune", "--data").stdout


def test_prune_keeps_what_was_not_made_from_here(orphan: Cli, tmp_path: Path) -> None:
    # The same machine, as it is seen by somebody with another list.
    other = replace(orphan, environment={"XDG_STATE_HOME": str(tmp_path / "elsewhere")})
    named = ("--instance", other.instance)
    unnamed = [word for word in other.arguments("--json", "prune", "--dry-run") if word not in named]
    ended = subprocess.run(
        unnamed, capture_output=True, text=True, check=True, cwd=other.folder, env=other.whole_environment, timeout=60
    )
    data = json.loads(ended.stdout)["data"]
    assert other.instance not in [each["instance"] for each in data["orphans"]]
    (kept,) = [each for each in data["foreign"] if each["instance"] == other.instance]
    assert kept["state_folders"] == [str(orphan.state)]
    # Whoever names it means it.
    assert [each["instance"] for each in other.data("prune", "--dry-run")["orphans"]] == [other.instance]


@on_docker_at_length
def test_an_instance_that_is_there_is_never_touched(kept: Cli) -> None:
    count = kept.visit()
    for state in ("up", "stopped", "absent"):
        assert row(kept)["state"] == state
        assert "nothing to remove" in kept.ok("prune", "--yes", "--data").stdout
        assert row(kept)["state"] == state
        if state != "absent":
            kept.ok("stop" if state == "up" else "down")
    kept.up()
    assert kept.visit() == count + 1


@on_docker_at_length
@pytest.mark.long
def test_an_instance_whose_folder_was_moved_is_there_as_soon_as_it_was_up(new_cli: Make, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    cli = new_cli(folder=old)
    cli.up()
    count = cli.visit()
    cli.ok("down")
    old.rename(new)
    cli.folder = new
    cli.up()
    assert row(cli)["state"] == "up"
    assert "nothing to remove" in cli.ok("prune", "--yes", "--data").stdout
    assert cli.visit() == count + 1
