"""The benchmarks run by themselves, on real servers, and leave nothing but the files that were asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rows import NEED_DOCKER, ROWS
from tests.cli import ROOT
from tests.servers import MISSING

if MISSING:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.mark.long
@pytest.mark.parametrize(
    "row", [pytest.param(name, marks=pytest.mark.docker) if name in NEED_DOCKER else name for name in ROWS]
)
def test_each_row_can_be_measured(row: str) -> None:
    engine = "compose" if row in NEED_DOCKER else "embedded"
    done = _measured("--only", row, "--engine", engine)
    assert f"\n{row}: " in f"\n{done.stdout}"


@pytest.mark.long
def test_a_quick_run_of_one_row_measures_it_and_writes_the_files(tmp_path: Path) -> None:
    done = _measured("--only", "reads", "--out", str(tmp_path))
    assert "× the empty route (≥ 0.8 ×): " in done.stdout
    document = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    [row] = document["rows"]
    assert row["row"] == "reads"
    assert all(figure["median"] > 0 for figure in row["figures"])
    assert (tmp_path / "bench.svg").read_text(encoding="utf-8").startswith("<svg")


def _measured(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
