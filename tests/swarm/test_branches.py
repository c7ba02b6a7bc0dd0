"""A branch of a guarded database is on the node of its parent, and has a standby of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.engine.swarm import Swarm

pytestmark = [pytest.mark.swarm, pytest.mark.long]

STACK = """\
from stack import Postgres, Stack
stack = Stack("shop", [Postgres("db", standby=True)])
"""


@pytest.fixture
def guarded(swarm: Swarm, tmp_path: Path) -> Iterator[Cli]:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK, encoding="utf-8")
    cli = Cli(tmp_path, file=file, engine="swarm", environment=swarm.environment)
    cli.ok("up")
    yield cli
    assert cli.reset().exit_code == 0


def inside(cli: Cli, sql: str) -> str:
    return (
        cli.ok("shell", "db", "--write", stdin=f"\\set QUIET on\n\\t on\n\\a\n{sql};\n").stdout.strip().split("\n")[-1]
    )


def standing(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = cli.data("status")["standbys"]["db"]
    return found


def test_a_branch_of_a_guarded_database_has_a_standby_of_its_own(guarded: Cli, swarm: Swarm) -> None:
    inside(guarded, "CREATE TABLE notes AS SELECT n FROM generate_series(1, 1000) AS n")
    before = standing(guarded)
    branch = Cli(guarded.folder, file=guarded.file, engine="swarm", environment=swarm.environment)
    try:
        guarded.ok("branch", branch.instance)
        assert inside(branch, "INSERT INTO notes VALUES (0) RETURNING (SELECT count(*) FROM notes)") == "1000"
        own = eventually(lambda: (found := standing(branch))["protected"] and found)
        assert own["node"] == before["node"], "its files were copied there"
        assert inside(guarded, "SELECT count(*) FROM notes") == "1000"
        assert standing(guarded)["protected"], "that of the parent follows on"
    finally:
        assert branch.reset().exit_code == 0
