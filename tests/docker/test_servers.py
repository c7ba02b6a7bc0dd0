"""What keeps a command from a server, and the one clear error that it gives: a real sshd on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import sshd
from tests.cli import Cli

pytestmark = [pytest.mark.docker, pytest.mark.ssh]

Make = Callable[..., Cli]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sshd.Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    with sshd.serving(folder) as server:
        yield server


@pytest.fixture
def new(server: sshd.Server, tmp_path: Path) -> Cli:
    """An instance that was never up, whose server is named. It need not be deleted."""
    return Cli(tmp_path, environment=server.environment)


def test_a_server_is_examined_and_asked_without_a_daemon_here(new: Cli) -> None:
    assert new.data("status")["state"] == "absent"
    checks = {each["check"]: each for each in new.data("doctor")["checks"]}
    assert checks["server"]["message"] == f"{new.environment['STACKCTL_HOST']} answers"
    assert checks["docker daemon"]["level"] == "ok"


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
