"""The wheel is all that a user needs: installed elsewhere, `stackctl up` works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli import ROOT, get
from tests.ports import own_port

pytestmark = [pytest.mark.docker, pytest.mark.long]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    (file,) = folder.glob("stackctl-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a virtual environment that has only the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(command, check=True, timeout=300)
    return folder / "bin" / "stackctl"


@pytest.fixture
def home(installed: Path, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """A user whose folders are empty; the instance is deleted at the end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("STACKCTL_", "XDG_"))}
    docker = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    environment = own | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "DOCKER_CONFIG": docker}
    try:
        yield environment
    finally:
        subprocess.run([installed, "reset", "--yes"], cwd="/", env=environment, check=True, timeout=120)


def test_the_wheel_carries_the_service_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    schema = "service/migrations/0001_visit_counter.sql"
    assert {"stackctl.py", "stack/playground.py", "service/Dockerfile", schema} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"stackctl.py", "stack", "service"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_it_works_from_any_folder(installed: Path, home: Mapping[str, str], tmp_path: Path) -> None:
    port = own_port()
    command = [str(installed), "up", "--port", str(port)]
    up = subprocess.run(command, cwd="/", env=home, capture_output=True, text=True, timeout=300, check=False)
    assert up.returncode == 0, up
    assert get(f"http://localhost:{port}/")[1]["visits"] == 1
    assert (tmp_path / "state" / "stackctl" / "playground").is_dir(), "outside a project the state is the user's"
    assert not (Path("/") / ".stackctl").exists()
