"""A copy of the example that a module is about, up on each engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.cli import ROOT
from tests.conformance.engines import COMPOSE, EMBEDDED
from tests.examples.example import Example

_LEFT_OUT = shutil.ignore_patterns(".stackctl", ".venv", "node_modules", "__pycache__")


@pytest.fixture(scope="module", params=[COMPOSE, EMBEDDED])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Example]:
    """The example that is named like the module of the test, in a folder with a space in its name."""
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    folder = tmp_path_factory.mktemp("examples") / f"my {name}"
    shutil.copytree(ROOT / "examples" / name, folder, ignore=_LEFT_OUT)
    if engine == "embedded" and name.startswith("node") and shutil.which("npm") is None:
        pytest.skip("there is no npm")
    example = Example(folder, engine=engine)
    if engine == "embedded":
        example.install()
    try:
        example.up()
        yield example
    finally:
        ended = example.reset()
    assert ended.exit_code == 0, ended
    assert example.remains() == []
