"""Docker Compose reads the lines of tests/unit/test_dotenv.py as its tables say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.test_dotenv import ENVIRONMENT, MALFORMED, READ

pytestmark = pytest.mark.docker


def read_by_compose(folder: Path, text: str, names: Sequence[str] = ()) -> dict[str, str] | None:
    """Return the values of variables, or None for a file that Compose refuses."""
    folder.mkdir()
    (folder / ".env").write_text(text, encoding="utf-8", newline="")
    service = {"image": "x", "environment": {name: f"${{{name}}}" for name in names}}
    (folder / "compose.yaml").write_text(json.dumps({"services": {"x": service}}))
    environment = {name: os.environ[name] for name in ("PATH", "HOME")} | ENVIRONMENT
    command = ["docker", "compose", "config", "--format", "json"]
    made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return None
    found = json.loads(made.stdout)["services"]["x"]["environment"]
    return {name: value.replace("$$", "$") for name, value in found.items()}


def test_compose_reads_the_same_values(tmp_path: Path) -> None:
    # One file for all: each line gives A another value, and a copy keeps it.
    text = "".join(f"{line}\nRESULT_{at}=${{A}}\n" for at, line in enumerate(READ))
    names = [f"RESULT_{at}" for at in range(len(READ))]
    found = read_by_compose(tmp_path / "all", f"B=bee\n{text}", names)
    assert found == dict(zip(names, READ.values(), strict=True))


def test_compose_refuses_the_same_lines(tmp_path: Path) -> None:
    read = {line: read_by_compose(tmp_path / str(at), f"B=bee\n{line}\n") for at, line in enumerate(MALFORMED)}
    assert [line for line, found in read.items() if found is not None] == []
