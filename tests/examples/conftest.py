"""A copy of the example that a module is about, up on each engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ROOT, Cli
from tests.conformance.engines import COMPOSE, EMBEDDED

_LEFT_OUT = shutil.ignore_patterns(".stackctl", ".venv", "node_modules", "__pycache__")


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Cli]:
    """The example that is named like the module of the test, in a folder with a space in its name."""
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    folder = tmp_path_factory.mktemp("examples") / f"my {name}"
    shutil.copytree(ROOT / "examples" / name, folder, ignore=_LEFT_OUT)
    if engine == "embedded":
        install(folder)
    cli = Cli(folder, engine=engine)
    try:
        cli.up()
        yield cli
    finally:
        cli.reset()


def install(folder: Path) -> None:
    """Install what the programs of an example need, as its README says for a machine without Docker."""
    for requirements in folder.glob("requirements.txt"):
        run(folder, sys.executable, "-m", "venv", ".venv")
        run(folder, ".venv/bin/pip", "install", "--quiet", "--requirement", requirements.name)
    for package in folder.glob("*/package.json"):
        if shutil.which("npm") is None:
            pytest.skip("there is no npm")
        run(package.parent, "npm", "ci", "--silent")


def run(folder: Path, *words: str) -> None:
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stdout}{ended.stderr}"
