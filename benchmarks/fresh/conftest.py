"""Measure the tests with their fixtures: all but the first one, which makes what they share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_ends: list[float] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("number", range(1 + int(os.environ["TESTS"])))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Iterator[None]:
    result = yield
    _ends.append(time.perf_counter())
    return result


def pytest_sessionfinish() -> None:
    if len(_ends) > 1:
        Path(os.environ["TOOK"]).write_text(str((_ends[-1] - _ends[0]) / (len(_ends) - 1)))
