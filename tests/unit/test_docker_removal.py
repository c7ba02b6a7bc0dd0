"""What python-on-whales runs of the docker client: whole command lines, and failures as this project's errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.engines.docker import removal
from stack.errors import StackError
from tests.cli import ROOT

CALLS: dict[str, Callable[[], None]] = {
    "container stop a b": lambda: removal.stop_containers(["a", "b"]),
    "container rm --force a b": lambda: removal.remove_containers(["a", "b"]),
    "network remove a b": lambda: removal.remove_networks(["a", "b"]),
    "volume remove a b": lambda: removal.remove_volumes(["a", "b"]),
    "image rm a b": lambda: removal.remove_images(["a", "b"]),
}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker client that records its arguments, and fails with the text of `refusal` if there is one."""
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/ran\n'
        f"[ ! -e {tmp_path}/refusal ] || {{ cat {tmp_path}/refusal >&2; exit 1; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize("line", CALLS)
def test_one_command_is_run(docker: Path, line: str) -> None:
    CALLS[line]()
    assert (docker / "ran").read_text().splitlines() == [line]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "docker-daemon"),
        ("Error response from daemon: remove shop_data: volume is in use - [63be]", "docker-failed"),
        ("Error: No such container: a", "docker-failed"),
    ],
)
@pytest.mark.parametrize("line", CALLS)
def test_a_refusal_is_an_error_with_dockers_words(
    docker: Path, capfd: pytest.CaptureFixture[str], line: str, refusal: str, code: str
) -> None:
    (docker / "refusal").write_text(refusal)
    with pytest.raises(StackError) as raised:
        CALLS[line]()
    assert (raised.value.code, raised.value.output) == (code, refusal)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("line", CALLS)
def test_a_machine_without_docker_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError) as raised:
        CALLS[line]()
    assert raised.value.code == "docker-client"


def test_the_users_variables_do_not_change_a_project(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = docker / "docker"
    program.write_text(f"#!/bin/sh\nenv > {docker}/variables\n")
    monkeypatch.setenv("COMPOSE_ENV_FILES", "/missing")
    monkeypatch.setenv("DOCKER_CONTEXT", "remote")
    removal.remove_networks(["a"])
    variables = (docker / "variables").read_text()
    assert "COMPOSE_ENV_FILES" not in variables
    assert "DOCKER_CONTEXT=remote" in variables


def test_nothing_is_run_for_no_names(docker: Path) -> None:
    for remove in (removal.stop_containers, removal.remove_volumes, removal.remove_images):
        remove([])
    assert not (docker / "ran").exists()


def test_the_client_library_is_imported_by_the_first_removal_alone() -> None:
    code = "import sys, stack.engines; sys.exit('python_on_whales' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
