"""What all tests share: golden files, and where a Docker Engine is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; review the diff")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the whole of a golden file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no golden file {name}: run `make golden` and review it"
        assert text == path.read_text(encoding="utf-8"), f"{name} has changed: `make golden` and review the diff"

    return compare


def _why_no_docker() -> str | None:
    """The reason why Docker tests can't run here, or None where they can."""
    if shutil.which("docker") is None:
        return "there is no docker client"
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` gives no answer"
        if answer.returncode != 0:
            return (answer.stderr.strip().splitlines() or ["no Docker Engine answers"])[-1]
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanted = [item for item in items if item.get_closest_marker("docker")]
    reason = _why_no_docker() if wanted else None
    if reason is None:
        return
    if os.environ.get("STACKCTL_REQUIRE_DOCKER") == "1":
        raise pytest.UsageError(f"STACKCTL_REQUIRE_DOCKER=1, but {reason}; `tests/engine/start` brings an engine")
    for item in wanted:
        item.add_marker(pytest.mark.skip(reason=f"no Docker Engine: {reason}"))
