"""What keeps a command from a server, and the one clear error that it gives: a real sshd on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import sshd
from tests.cli import LIMIT, Cli, eventually

pytestmark = [pytest.mark.docker, pytest.mark.ssh]


@pytest.fixture
def new(server: sshd.Server, tmp_path: Path) -> Cli:
    """An instance that was never up, whose server is named. It need not be deleted."""
    return Cli(tmp_path, environment=server.environment)


def test_a_server_is_examined_and_asked_without_a_daemon_here(new: Cli) -> None:
    assert new.data("status")["state"] == "absent"
    checks = {each["check"]: each for each in new.data("doctor")["checks"]}
    assert checks["server"]["message"] == f"{new.environment['STACKCTL_HOST']} answers"
    assert checks["docker daemon"]["level"] == "ok"


@pytest.mark.long
def test_a_connection_that_died_unnoticed_is_replaced(new: Cli, server: sshd.Server) -> None:
    assert new.data("status")["state"] == "absent"
    server.freeze()
    assert new.data("status")["state"] == "absent"


def test_a_key_that_is_refused_is_told(new: Cli, server: sshd.Server) -> None:
    server.make_key("other")
    server.allow("other")
    error = new.fails("up", code="ssh-refused")
    assert "accepts no SSH key of this user" in error["message"]
    assert "ssh-add" in error["hint"]
    assert not new.state.exists(), "nothing was made for what can't be reached"


def test_a_host_key_that_is_not_known_is_never_accepted(new: Cli, server: sshd.Server) -> None:
    server.forget()
    new.fails("status", code="host-key-unknown")
    new.fails("up", code="host-key-unknown")
    assert (server.folder / "known").read_text() == ""


def test_a_host_key_that_has_changed_is_never_accepted(new: Cli, server: sshd.Server) -> None:
    known = (server.folder / "known").read_text()
    server.stop()
    server.make_key("host")
    server.start()
    error = new.fails("up", code="host-key-changed")
    assert "another host key than the one that is known" in error["message"]
    assert (server.folder / "known").read_text() == known
    server.know()
    assert new.data("status")["state"] == "absent"


def test_a_server_that_is_not_there_is_told(new: Cli, server: sshd.Server) -> None:
    server.stop()
    new.fails("status", code="server-unreachable")
    checks = new.run("--json", "doctor").envelope["data"]["checks"]
    assert any(each["level"] == "fail" and "can't be reached by SSH" in each["message"] for each in checks)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["SetEnv PATH=/nonexistent"], "server-without-docker"),
        (["SetEnv DOCKER_HOST=unix:///nonexistent.sock"], "docker-daemon"),
        (["AllowStreamLocalForwarding no"], "ssh-forwarding"),
    ],
    ids=["no-docker", "no-daemon", "no-forwarding"],
)
def test_what_a_server_lacks_is_told(new: Cli, server: sshd.Server, options: list[str], code: str) -> None:
    server.stop()
    server.start(*options)
    error = new.fails("status", code=code)
    assert sshd.NAME in error["message"]


@pytest.fixture
def shop(new: Cli, server: sshd.Server) -> Iterator[Cli]:
    """The same, deleted at the end, with the server as it was made."""
    yield new
    server.allow("user")
    assert new.reset().exit_code == 0


def command_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=LIMIT)
    envelope: dict[str, Any] = json.loads(out)
    return envelope


def locks(cli: Cli) -> list[str]:
    listing = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=stackctl-{cli.instance}"]
    found = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in found if name.endswith("-lock")]


@pytest.mark.long
def test_a_cut_in_the_middle_of_an_up_is_one_clear_error(shop: Cli, server: sshd.Server) -> None:
    up = shop.start("--json", "up", "--port", str(shop.port))
    eventually(lambda: locks(shop))
    server.cut()
    answer = command_of(up)
    assert (up.returncode, answer["error"]["code"]) == (1, "connection-lost"), answer
    assert f"the connection to {server.server} was cut" in answer["error"]["message"]
    assert shop.up()["changed"] is True, "the lock of the command that was cut off is taken over at once"
    assert shop.visit() == 1
    assert locks(shop) == []


@pytest.mark.long
def test_a_cut_in_the_middle_of_a_restore_keeps_the_data(shop: Cli, server: sshd.Server) -> None:
    shop.up()
    shop.visit()
    shop.ok("snapshot", "save", "one")
    counted = shop.visit()
    restore = shop.start("--json", "snapshot", "restore", "one", "--yes")
    eventually(lambda: locks(shop))
    eventually(lambda: [*shop.state.glob("compose-*/beside.log")])
    server.cut()
    answer = command_of(restore)
    assert (restore.returncode, answer["error"]["code"]) == (1, "connection-lost"), answer
    shop.up()
    assert shop.visit() in (counted + 1, 2), "all of what there was, or all of the snapshot"


@pytest.mark.long
def test_the_way_to_the_ports_lasts_until_stop(shop: Cli, server: sshd.Server) -> None:
    shop.up()
    status = shop.data("status")
    assert (status["host"], status["tunnel"]) == (str(server.server), "open")
    server.cut()
    eventually(lambda: shop.data("status")["tunnel"] == "closed")
    assert shop.data("status")["state"] == "up", "nothing is wrong with it there"
    assert "`stackctl up` opens it" in shop.ok("status").stdout.replace(f"--instance {shop.instance} ", "")
    assert shop.up()["changed"] is False
    assert shop.visit() == 1
    shop.ok("stop")
    assert shop.get()[0] == 0
    assert server.connections <= 1, "only what the next command uses"
    shop.ok("start")
    assert shop.visit() == 2
    shop.ok("down")
    assert shop.get()[0] == 0


@pytest.mark.long
def test_a_second_machine_waits_for_the_first(shop: Cli, tmp_path: Path) -> None:
    shop.up()
    shop.visit()
    other = Cli(tmp_path / "other", shop.instance, shop.port, environment=shop.environment)
    shutil.copytree(shop.state, other.state)
    both = [each.start("restart") for each in (shop, other)]
    said = [each.communicate(timeout=LIMIT)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert any("waiting for `stackctl --instance" in each for each in said), "one of them has to wait"
    assert shop.visit() == 2
    assert locks(shop) == []


def test_files_and_secrets_that_change_reach_the_server(shop: Cli, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("one")
    (tmp_path / "shop.py").write_text(
        textwrap.dedent("""
        from stack import Container, Parameter, Stack
        key = Parameter("KEY", secret=True)
        box = Container("box", image="python:3.14-slim", command=["sleep", "inf"], files={"page.txt": "/page.txt"},
            environment={"KEY_FILE": key}, stop_grace=1)
        stack = Stack("shop", [box])
        """)
    )
    shop.file = tmp_path / "shop.py"
    for text, key in (("one", "first"), ("two", "second")):
        (tmp_path / "page.txt").write_text(text)
        shop.ok("up", "--set", "KEY=@-", stdin=key)
        read = shop.ok("exec", "box", "--", "sh", "-c", "cat /page.txt; echo; cat $KEY_FILE")
        assert read.stdout.split() == [text, key]
    assert shop.data("up")["changed"] is False


@pytest.mark.long
def test_an_instance_on_a_server_is_listed_with_it(shop: Cli, server: sshd.Server) -> None:
    shop.up()
    (listed,) = [each for each in shop.data("ls")["instances"] if each["instance"] == shop.instance]
    assert (listed["host"], listed["state"]) == (str(server.server), "up")
    server.stop()
    found = shop.data("ls")
    (listed,) = [each for each in found["instances"] if each["instance"] == shop.instance]
    assert listed["state"] == "unknown"
    assert found["silent"][str(server.server)]["code"] == "server-unreachable"
    server.start()
