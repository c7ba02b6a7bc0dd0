"""Fixtures for the tests of a project: its stack as an instance of their own, and a fresh database for each test.

`pip install 'stackctl[pytest]'` is all that is needed. The instance is made when the first test asks for it, is shared
by all workers of pytest-xdist, and is deleted at the end, also if pytest is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Only a test that asks for a fixture loads what is behind it.
if TYPE_CHECKING:
    from stack.testing.databases import Database, Databases
    from stack.testing.running import RunningStack

_STACK_FILE = "stackfile.py"
_NAME = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "stackctl_file", f"the stack file, relative to the root of the tests ({_STACK_FILE})", default=_STACK_FILE
    )
    parser.addini("stackctl_engine", "the engine: compose, embedded, or auto", default="")
    parser.addini(
        "stackctl_database", "the component whose database is copied for a test, if the stack has several", default=""
    )
    group = parser.getgroup("stackctl")
    group.addoption("--stack-engine", metavar="ENGINE", help="the engine of the stack: compose, embedded, or auto")
    group.addoption(
        "--stack-keep", action="store_true", help="keep the instance of the stack, and use it again at the next run"
    )


def pytest_configure(config: pytest.Config) -> None:
    run = getattr(config, "workerinput", {}).get("testrunuid") or secrets.token_hex(8)
    kept = config.getoption("--stack-keep")
    config.stash[_NAME] = "pytest" if kept else f"pytest-{hashlib.sha256(run.encode()).hexdigest()[:8]}"


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """The stack of this project, up and ready on ports of its own."""
    from stack.testing.running import running

    config = request.config
    engine = config.getoption("--stack-engine") or config.getini("stackctl_engine") or None
    keep = bool(config.getoption("--stack-keep"))
    with _plain_errors(), running(_file(config), config.stash[_NAME], engine, keep) as found:
        yield found


def _file(config: pytest.Config) -> Path:
    return Path(os.path.abspath(config.rootpath / str(config.getini("stackctl_file"))))


@pytest.fixture(scope="session")
def _stack_component(request: pytest.FixtureRequest) -> str:
    """The component whose database is copied, found out before the stack is brought up."""
    from stack.declaration import load_stack
    from stack.testing.databases import SETTING, choose_component

    with _plain_errors():
        return choose_component(load_stack(_file(request.config)), str(request.config.getini(SETTING)))


@pytest.fixture(scope="session")
def _stack_databases(_stack_component: str, stack: RunningStack) -> Iterator[Databases]:
    from stack.testing.databases import Databases

    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with _plain_errors(), Databases.opened(stack, _stack_component, worker) as found:
        yield found


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Fail with what an error of stackctl says, and without its traceback."""
    from stack.errors import StackError

    try:
        yield
    except StackError as error:
        pytest.fail(f"{error.message}\n{error.hint}\n{error.output}".strip(), pytrace=False)


_numbers = itertools.count(1)


@pytest.fixture
def stack_database(_stack_databases: Databases) -> Iterator[Database]:
    """A database for this test alone: what the database of the stack holds after `up`, its migrations applied."""
    with _stack_databases.fresh(next(_numbers)) as database:
        yield database


@pytest.fixture(scope="session")
def stack_worker_database(_stack_databases: Databases) -> Iterator[Database]:
    """The same for all tests of this worker."""
    with _stack_databases.fresh(0) as database:
        yield database
