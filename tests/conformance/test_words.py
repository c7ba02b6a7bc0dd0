"""What is printed can be typed as it stands, and shows nothing that a terminal obeys."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.cli import Cli
from tests.conformance.engines import on_one_engine

Make = Callable[..., Cli]

STORES = """
from stack import Postgres, Redis, Stack
stack = Stack("stores", [Redis("cache"), Postgres("db")])
"""


@on_one_engine
def test_a_printed_command_acts_on_the_same_instance(new_cli: Make, tmp_path: Path) -> None:
    file = tmp_path / "my stack.py"
    file.write_text(STORES, encoding="utf-8")
    cli = new_cli(file=file, instance="words")
    options = f"stackctl --file '{file}' --instance words --engine embedded"
    told = []
    for words in (["status"], ["up"], ["stop"], ["down"], ["reset", "--yes"], ["exec", "db", "--", "true"]):
        ended = cli.run("--engine", "embedded", *words)
        told += [named for stream in (ended.stdout, ended.stderr) for named in re.findall("`(stackctl [^`]+)`", stream)]
    assert len(told) > 5, told
    assert [named for named in told if not named.startswith(options)] == []
    assert f"{options} start" in told
    assert f"{options} undo" in told
