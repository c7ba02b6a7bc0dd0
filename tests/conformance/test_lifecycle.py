"""The life of an instance: up, stop, start, down, reset, and several beside each other."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import (
    on_a_server_at_length,
    on_a_server_too,
    on_containers_at_length,
    on_docker_at_length,
    on_one_engine,
    on_other_engines_at_length,
)
from tests.terminal import reset_on_a_terminal

Make = Callable[..., Cli]

outside_its_state = pytest.mark.skipif(
    os.geteuid() != 0, reason="without root, embedded data is inside of the state and lost with it"
)


@on_a_server_at_length
def test_data_survives_stop_and_start_and_down_and_up(kept: Cli) -> None:
    count = kept.visit()
    kept.ok("stop")
    assert kept.data("status")["state"] == "stopped"
    assert kept.get()[0] == 0
    kept.ok("start")
    assert kept.visit() == count + 1
    assert "data is kept" in kept.ok("down").stdout
    assert kept.data("status")["state"] == "absent"
    kept.up()
    assert kept.visit() == count + 2


@on_other_engines_at_length
def test_a_changed_port_is_applied_and_remembered(kept: Cli, new_cli: Make) -> None:
    count = kept.visit()
    kept.port = new_cli().port
    kept.up()
    assert kept.visit() == count + 1
    kept.ok("down")
    assert kept.data("up")["urls"] == {"web": f"http://localhost:{kept.port}"}


@on_containers_at_length
def test_two_instances_run_side_by_side(up: Cli, cli: Cli) -> None:
    cli.up()
    count = max(up.visit() for _ in range(3))
    assert cli.visit() == 1
    assert up.visit() == count + 1
    cli.reset()
    assert up.visit() == count + 2


@on_one_engine
@pytest.mark.long
def test_two_ups_at_once_make_one_instance(cli: Cli) -> None:
    ups = [cli.start("up", "--json", "--port", str(cli.port)) for _ in range(2)]
    ended = [(up.communicate(timeout=200), up.returncode) for up in ups]
    assert [exit_code for _, exit_code in ended] == [0, 0], ended
    assert cli.visit() == 1


@on_docker_at_length
def test_reset_asks_on_a_terminal_and_deletes(kept: Cli) -> None:
    assert reset_on_a_terminal(kept, "y") == 0
    assert kept.data("status")["state"] == "absent"


def test_reset_of_nothing_is_no_error(cli: Cli) -> None:
    assert "nothing to delete" in cli.ok("reset").stdout


def test_commands_on_what_is_not_up_say_so(cli: Cli) -> None:
    for words in (["exec", "web", "--", "true"], ["inspect", "db"], ["inspect", "cache"], ["inspect"], ["logs"],
                  ["stop"], ["start"], ["seed", __file__], ["env"]):  # fmt: skip
        if words == ["env"] and cli.on_a_swarm:
            continue  # its tools need no variables
        error = cli.fails(*words, code="instance-down")
        assert " up" in error["hint"]
    assert cli.data("status")["state"] == "absent"
    assert "is down" in cli.ok("down").stdout
    cli.fails("rotate", "db", code="instance-down")
    assert "nothing to delete" in cli.ok("reset").stdout
    assert not cli.state.exists(), "a command on what is not there must not make anything"


@on_a_server_too
def test_a_taken_port_is_told_before_anything_changes(cli: Cli) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        error = cli.fails("up", "--port", str(port), code="port-taken")
        assert str(port) in error["message"]
        assert "--port" in error["hint"]
    assert cli.data("status")["state"] == "absent"
    assert not cli.state.exists()
    assert all(each["instance"] != cli.instance for each in cli.data("ls")["instances"])


@on_a_server_at_length
def test_an_interrupted_up_loses_nothing_and_the_next_carries_on(cli: Cli) -> None:
    with cli.start("up", "--port", str(cli.port)) as up:
        assert up.stderr is not None
        for line in up.stderr:
            if "db: starting" in line:
                up.send_signal(signal.SIGINT)
                break
        said = up.stderr.read()
        assert up.wait(60) == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    cli.up()
    assert cli.visit() == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_interrupting_an_up_of_an_instance_with_data_keeps_it(kept: Cli, ending: signal.Signals) -> None:
    count = kept.visit()
    kept.ok("down")
    with kept.start("up") as up:
        assert up.stderr is not None
        eventually(lambda: "web: " in (up.stderr.readline() if up.stderr else ""))
        up.send_signal(ending)
        up.communicate(timeout=60)
    kept.up()
    assert kept.visit() == count + 1


@on_one_engine
def test_a_lost_password_is_told_and_the_data_kept(kept: Cli) -> None:
    count = kept.visit()
    kept.ok("down")
    secrets = kept.state / "secrets"
    shutil.move(secrets, secrets.with_name("elsewhere"))
    error = kept.fails("up", code="secret-lost")
    assert str(secrets / "db_password") in error["message"]
    shutil.move(secrets.with_name("elsewhere"), secrets)
    kept.up()
    assert kept.visit() == count + 1


@on_other_engines_at_length
def test_an_instance_whose_state_is_lost_can_still_be_deleted(kept: Cli) -> None:
    shutil.rmtree(kept.state)
    assert kept.data("status")["state"] == "up"
    assert kept.ok("reset", "--yes")
    assert kept.data("status")["state"] == "absent"


@on_containers_at_length
@outside_its_state
@pytest.mark.long
def test_reset_and_undo_keep_restored_data_of_a_lost_state(cli: Cli) -> None:
    cli.up()
    cli.visit()
    cli.ok("snapshot", "save", "early")
    cli.ok("snapshot", "restore", "early", "--yes")
    count = cli.visit()
    shutil.rmtree(cli.state)
    assert cli.ok("reset", "--yes")
    cli.up()
    cli.ok("undo", "--yes")
    assert cli.visit() == count + 1, "the data from before the restore was saved, and not the data in use"


@on_docker_at_length
@outside_its_state
@pytest.mark.long
def test_data_of_which_the_revision_is_unknown_is_not_touched(cli: Cli) -> None:
    cli.up()
    cli.ok("snapshot", "save", "early")
    cli.ok("snapshot", "restore", "early", "--yes")
    cli.ok("down")
    shutil.rmtree(cli.state)
    for command in (["up"], ["reset", "--yes"], ["snapshot", "restore", "early", "--yes"]):
        error = cli.fails(*command, code="state-lost")
        assert re.search(r"several revisions: (\S+), \1\.2; which one it used is unknown", error["message"]), error
    cli.ok("reset", "--yes", "--no-snapshot")
    assert cli.data("status")["state"] == "absent"


@on_one_engine
@pytest.mark.long
def test_it_works_from_a_folder_with_a_space(new_cli: Make, tmp_path: Path) -> None:
    folder = tmp_path / "my café's $HOME"
    folder.mkdir()
    cli = new_cli(folder=folder)
    cli.up()
    assert cli.visit() == 1
    assert cli.data("inspect", "cache")["agreement"] == "agrees"
