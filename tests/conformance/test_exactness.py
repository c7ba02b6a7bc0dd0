"""A whole instance under load, judged by the checker of `tests/history.py`, whatever happens to its servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import ROOT, Cli, crash
from tests.conformance.engines import on_docker_at_length
from tests.judging import go_on, judged
from tests.load import request

# Reads are exact where one process counts: of several a busy one may for a moment not reach Redis (see the README).
ONE_PROCESS = f"""\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web
db = replace(db, migrations={str(ROOT / "service" / "migrations")!r})
web = replace(web, source={str(ROOT / "service")!r}, environment={{"WEB_CONCURRENCY": 1}})
stack = Stack("playground", [web, db, cache])
"""


@on_docker_at_length
def test_counts_are_exact_while_servers_crash_and_redis_is_poisoned(
    new_cli: Callable[..., Cli], tmp_path: Path
) -> None:
    file = tmp_path / "one.py"
    file.write_text(ONE_PROCESS, encoding="utf-8")
    cli = new_cli(file=file)
    cli.up()
    with judged(cli) as load:
        crash(cli, "db")
        go_on(load)
        for words in (["FLUSHALL"], ["SET", "visit_counter:homepage", "poison"]):
            cli.ok("exec", "cache", "--", "redis-cli", *words)
            go_on(load)
    assert cli.data("inspect", "cache")["agreement"] == "agrees"


@on_docker_at_length
@pytest.mark.long
def test_counts_are_exact_while_everything_is_restarted(cli: Cli) -> None:
    cli.up()
    # A worker that reaches Redis again reads there what another could not yet store.
    with judged(cli, exact_reads=False) as load:
        crash(cli, "cache")
        go_on(load)
        cli.ok("stop")
        cli.ok("start")
        # A Swarm may have started it on another node.
        load.hosts = [cli.host]
    assert cli.data("inspect", "cache")["agreement"] == "agrees"


@on_docker_at_length
def test_a_database_that_was_emptied_is_followed_at_once(cli: Cli) -> None:
    cli.up()
    with judged(cli, exact_reads=False):
        pass
    cli.ok("inspect", "db", "--query", "DELETE FROM visit_counter")
    host = cli.host
    assert request(cli.port, "visit", "homepage", host).number == 1
    assert {request(cli.port, "read", "homepage", host).number for _ in range(4)} == {1}
