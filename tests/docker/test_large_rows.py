"""A row that a server has not the memory to write is refused before that ends the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stack.playground import web
from stack.settings import PLAYGROUND
from tests.cli import Cli

pytestmark = pytest.mark.docker

STACK = """\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web

db = replace(db, memory={memory}, migrations={source!r} + "/migrations")
web = replace(web, source={source!r})
stack = Stack("playground", [web, db, cache])
"""
# More than it takes packed; what it takes as text is known all the same.
ROW = "CREATE TABLE \"big one\" AS SELECT 1 AS id, repeat('x', 150000000) AS text"


@pytest.mark.long
def test_a_row_that_is_too_large_to_save_is_named_and_the_server_goes_on(
    new_cli: Callable[..., Cli], tmp_path: Path
) -> None:
    file = tmp_path / "large.py"
    cli = new_cli(file=file)

    def declare(memory: int) -> None:
        source = str((PLAYGROUND.parent / str(web.source)).resolve())
        file.write_text(STACK.format(memory=memory, source=source), encoding="utf-8")

    declare(1024)
    cli.up()
    cli.ok("exec", "db", "--", "psql", "-U", "student", "-d", "student_notes", "-c", ROW)
    declare(512)
    cli.up()
    count = cli.visit()
    for command in (("snapshot", "save", "large"), ("reset", "--yes")):
        error = cli.fails(*command, code="save-failed")
        assert 'a row of public."big one" has 150 MB' in error["message"]
        assert "memory=640" in error["hint"]
    assert cli.data("status")["components"]["db"]["restarts"] == 0
    assert cli.visit() == count + 1
    declare(640)
    cli.up()
    cli.ok("snapshot", "save", "large")
    assert cli.data("status")["components"]["db"]["restarts"] == 0
