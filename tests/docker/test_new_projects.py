"""A project that `init` begins in an empty folder is built, comes up and answers."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import ROOT, Cli

pytestmark = [pytest.mark.docker, pytest.mark.long]


@pytest.mark.parametrize("kind", ["django", "node"])
def test_a_first_app_answers(new_cli: Callable[..., Cli], tmp_path: Path, kind: str) -> None:
    command = [
        sys.executable,
        str(ROOT / "stackctl.py"),
        "init",
        "--template",
        kind,
        "--name",
        "shop",
        "--data",
        "both",
    ]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith("Next:\n  stackctl plan\n  stackctl up\n"), made.stdout
    cli = new_cli(file=tmp_path / "stackfile.py")
    data = cli.up()
    with urllib.request.urlopen(data["urls"]["web"], timeout=10) as answer:
        assert json.load(answer) == {"hello": "world"}
    assert cli.pending() == []
