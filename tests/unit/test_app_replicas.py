"""An app may have replicas: many machines run them, and one machine runs one and says so before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import Stack, WebApp, Worker
from stack.errors import DeclarationError
from stack.settings import Settings
from stack.workflow.opening import look

FILE = """\
from stack import Stack, WebApp, Worker

web = WebApp("web", source=".", port=8000, replicas=3, command=["serve"])
worker = Worker("worker", of=web, command=["work"], replicas=2)
stack = Stack("shop", [web, worker], groups={"more": [worker]}, registry="registry.example.com")
"""


def shop(folder: Path, engine: str) -> Settings:
    file = folder / "stackfile.py"
    file.write_text(FILE, encoding="utf-8")
    return Settings(file, None, folder / "state", engine, folder / "registry")


@pytest.mark.parametrize(("engine", "runs"), [("compose", 1), ("embedded", 1), ("swarm", 3)])
def test_as_many_run_as_have_a_port_of_their_own(tmp_path: Path, engine: str, runs: int) -> None:
    stack = look(shop(tmp_path, engine)).instance.stack
    assert (stack.replicas("web"), stack.whole.replicas("worker")) == (runs, 2)
    assert stack.whole.replicas("web") == runs


def test_one_machine_says_that_it_runs_one(tmp_path: Path) -> None:
    (said,) = look(shop(tmp_path, "compose")).losses
    assert said == (
        "not on the compose engine: web/replicas: one of 3 runs, for on one machine all would want its port"
    )


def test_a_stack_without_such_an_app_is_itself() -> None:
    web = WebApp("web", source=".", port=8000)
    stack = Stack("shop", [web, Worker("worker", of=web, command=["work"], replicas=2)])
    assert stack.on_one_machine() is stack


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(DeclarationError, match="web/replicas: 0 is not a number of replicas"):
        WebApp("web", source=".", replicas=0)
