"""Instances for the tests that drive a real engine: their own, cleaned up before and after, logs kept on failure."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.harness import ROOT, Cli

ARTIFACTS = ROOT / "test-artifacts"
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


def _clean(cli: Cli, request: pytest.FixtureRequest) -> None:
    if request.node.stash.get(_FAILED, False):
        ARTIFACTS.mkdir(exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", request.node.name)
        (ARTIFACTS / f"{name}-{cli.instance}.txt").write_text(cli.saved_logs(), encoding="utf-8")
    result = cli.reset()
    assert result.exit_code == 0, result


@pytest.fixture
def new_cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Cli]]:
    """Make command lines for instances that are deleted after the test."""
    made: list[Cli] = []

    def make(**options: Any) -> Cli:
        made.append(Cli(**({"folder": tmp_path} | options)))
        return made[-1]

    yield make
    for cli in made:
        _clean(cli, request)


@pytest.fixture
def cli(new_cli: Callable[..., Cli]) -> Cli:
    """An instance of the playground that is not up yet."""
    return new_cli()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """An instance of the playground that is up, for the tests of a module that leave it as it was."""
    cli = Cli(tmp_path_factory.mktemp("up"))
    try:
        cli.up()
        yield cli
    finally:
        cli.reset()
