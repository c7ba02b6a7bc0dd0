"""What a branch has of all that a server can hold, and what it is if its command is killed, or is one of many."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_containers_at_length, on_docker_at_length, on_one_engine

pytestmark = pytest.mark.long

POINTS = int(os.environ.get("STACKCTL_POINTS", "4"))
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
# Docker has address ranges for some thirty networks, of which each of these instances takes two.
_MANY, _MANY_ON_DOCKER = 20, 6
_STACK = """\
from stack import Postgres, Redis, Stack
db = Postgres("db", settings={"max_prepared_transactions": 10}, databases=["other"])
queue = Redis("queue", durable=True)
stack = Stack("shop", [db, queue])
"""
_CONTENT = """
CREATE UNLOGGED TABLE drafts AS SELECT 1 AS n;
CREATE TABLE notes AS SELECT n, repeat('ü', 100) AS text FROM generate_series(1, 5000) AS n;
SELECT lo_from_bytea(0, 'a large object');
CREATE ROLE reader LOGIN PASSWORD 'of the reader';
GRANT SELECT ON notes TO reader;
GRANT ALL ON notes TO app;
SELECT pg_create_physical_replication_slot('theirs', true);
CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION news WITH (connect = false);
BEGIN; DELETE FROM notes; PREPARE TRANSACTION 'pending';
"""
# A server's working directory is that of its data.
_TABLESPACE = """
COPY (SELECT) TO PROGRAM 'mkdir "$PWD-apart"';
SELECT current_setting('data_directory') || '-apart' AS place \\gset
CREATE TABLESPACE apart LOCATION :'place';
"""
_VERSIONED = 'from stack import Postgres, Stack\nstack = Stack("shop", [Postgres("db", version={version})])\n'
_NOTES = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM notes"
# More than a gigabyte, of which nothing can be packed.
_LARGE = """
CREATE TABLE large AS SELECT n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 32) AS m) AS text
    FROM generate_series(1, 1100000) AS n;
"""


@pytest.fixture
def shop(new_cli: Callable[..., Cli], tmp_path: Path) -> Cli:
    file = tmp_path / "stackfile.py"
    file.write_text(_STACK)
    cli = new_cli(file=file)
    cli.ok("up")
    return cli


@pytest.fixture
def new_branch(new_cli: Callable[..., Cli]) -> Callable[[Cli], Cli]:
    """Gives a name to a branch, of which nothing is left after the test."""
    return lambda cli: new_cli(file=cli.file)


def inside(cli: Cli, sql: str, database: str = "app") -> str:
    """Run it as the administrator."""
    quiet = f'\\set QUIET on\n\\set ON_ERROR_STOP on\n\\t on\n\\a\n\\c "{database}"\n'
    return cli.ok("shell", "db", "--write", "--admin", stdin=quiet + sql).stdout.strip()


def redis(cli: Cli, *words: str) -> str:
    return cli.ok("exec", "queue", "--", "redis-cli", *words).stdout.strip()


def test_a_branch_has_all_that_is_committed_and_nothing_else(shop: Cli, new_branch: Callable[[Cli], Cli]) -> None:
    inside(shop, _CONTENT)
    inside(shop, "CREATE TABLE kept AS SELECT 'é' AS word", database="other")
    assert redis(shop, "SET", "key", "value") == "OK"
    with _long_transaction(shop):
        branch = new_branch(shop)
        made = shop.data("branch", branch.instance)
    assert made["differs"] == [
        "db: in app, prepared transactions were rolled back: pending",
        "db: in app, subscriptions are off: feed",
        "db: in app, unlogged tables are empty: public.drafts",
    ]
    one = "(SELECT count(*) FROM {})"
    counts = f"SELECT {one.format('notes')}, {one.format('drafts')}, {one.format('pg_prepared_xacts')}"
    assert inside(branch, counts) == "5000|0|0"
    assert inside(shop, counts) == "5000|1|1"
    assert inside(branch, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata") == "a large object"
    assert inside(branch, "SELECT has_table_privilege('reader', 'notes', 'SELECT')") == "t"
    assert inside(branch, "SELECT word FROM kept", database="other") == "é"
    assert inside(branch, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert inside(shop, "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots") == "theirs"
    subscribed = "SELECT subenabled, subslotname FROM pg_subscription"
    assert (inside(branch, subscribed), inside(shop, subscribed)) == ("f|", "f|feed")
    assert redis(branch, "GET", "key") == "value"
    redis(branch, "SET", "key", "other")
    assert redis(shop, "GET", "key") == "value"
    assert branch.pending() == []
    second = new_branch(shop)
    assert branch.data("branch", second.instance)["parent"] == branch.instance
    assert inside(second, counts) == "5000|0|0"


@contextmanager
def _long_transaction(cli: Cli) -> Iterator[None]:
    """One that has begun and written, and is not committed before the end of the block."""
    statements = "BEGIN; INSERT INTO notes VALUES (0, 'not committed'); SELECT pg_sleep(120)"
    words = ("psql", "-U", "app", "-d", "app", "-c", statements)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN; INSERT%' AND wait_event = 'PgSleep'"
    with cli.start("exec", "db", "--", *words) as running:
        eventually(lambda: inside(cli, waits) == "1")
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=60)


@on_one_engine
def test_a_branch_of_more_than_a_gigabyte_is_whole(shop: Cli, new_branch: Callable[[Cli], Cli]) -> None:
    inside(shop, _LARGE)
    sums = "SELECT count(*), sum(hashtext(text)) FROM large"
    branch = new_branch(shop)
    assert shop.data("branch", branch.instance)["bytes"] > 10**9
    assert inside(branch, sums) == inside(shop, sums)


@pytest.mark.parametrize("begun", ["branch", "branch reset"])
def test_a_branch_whose_command_is_ended_is_whole_or_gone(
    shop: Cli, new_branch: Callable[[Cli], Cli], begun: str
) -> None:
    inside(shop, "CREATE TABLE notes AS SELECT n FROM generate_series(1, 1000) AS n")
    counted, branch = "SELECT count(*) FROM notes", new_branch(shop)
    words: tuple[str, ...] = ("branch", branch.instance)
    began = time.monotonic()
    shop.ok(*words)
    whole = time.monotonic() - began
    if begun == "branch reset":
        inside(branch, "DELETE FROM notes")
        words = ("branch", "reset", branch.instance, "--yes", "--no-snapshot")
    for point in range(POINTS):
        number, moment = SIGNALS[point % len(SIGNALS)], whole * (point + 0.5) / POINTS
        when = f"{number.name} after {moment:.2f} s of {whole:.2f} s"
        if begun == "branch" and branch.state.exists():
            branch.reset()
        _cut_off(shop, words, moment, number)
        shop.ok("up")
        assert inside(shop, counted) == "1000", when
        assert not (branch.state / "unfinished").exists(), when
        if branch.state.exists():
            branch.ok("up")
            assert inside(branch, counted) in ({"1000"} if begun == "branch" else {"0", "1000"}), when
            assert branch.pending() == [], when
        else:
            assert begun == "branch", when
            assert branch.data("ls", "--all")["instances"] == [], when


def _cut_off(cli: Cli, words: tuple[str, ...], moment: float, number: signal.Signals) -> None:
    with cli.start(*words) as running:
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.send_signal(number)
        _, said = running.communicate(timeout=120)
    assert running.returncode in (0, 130, *(-each for each in SIGNALS)), said


@on_docker_at_length
def test_many_branches_can_be_made_at_once(shop: Cli, new_branch: Callable[[Cli], Cli]) -> None:
    inside(shop, "CREATE TABLE notes AS SELECT n FROM generate_series(1, 1000) AS n")
    number = _MANY if shop.engine == "embedded" else _MANY_ON_DOCKER
    branches = [new_branch(shop) for _ in range(number)]
    with ThreadPoolExecutor(len(branches)) as pool:
        made = [*pool.map(lambda each: shop.run("branch", each.instance), branches)]
    assert [str(result) for result in made if result.exit_code] == []
    assert {inside(each, "SELECT count(*) FROM notes") for each in branches} == {"1000"}
    assert inside(shop, "SELECT count(*) FROM pg_replication_slots") == "0"


@on_one_engine
@pytest.mark.parametrize(
    ("settings", "statement", "reason"),
    [
        ({"archive_mode": "on", "archive_command": "true"}, "", "archive_mode is on"),
        ({"wal_level": "minimal", "max_wal_senders": 0}, "", "its log is minimal (wal_level)"),
        (
            {"max_replication_slots": 1}, "SELECT pg_create_physical_replication_slot('theirs');",
            "all of its max_replication_slots (1) are used",
        ),
        ({}, _TABLESPACE, "it has tablespaces outside of its volume: apart"),
    ],
    ids=["archives", "minimal", "slots", "tablespaces"],
)  # fmt: skip
def test_what_can_not_be_copied_is_refused(
    new_cli: Callable[..., Cli], tmp_path: Path, settings: dict[str, object], statement: str, reason: str
) -> None:
    file = tmp_path / "refused.py"
    file.write_text(
        f"from stack import Postgres, Stack\nstack = Stack('shop', [Postgres('db', settings={settings})])\n"
    )
    cli = new_cli(file=file)
    cli.ok("up")
    inside(cli, statement)
    error = cli.fails("branch", "feature", code="branch-refused")
    assert reason in error["message"]
    assert not (cli.folder / ".stackctl" / "feature").exists()


@on_containers_at_length
def test_a_branch_outlives_the_upgrade_and_the_end_of_its_parent(
    new_cli: Callable[..., Cli], new_branch: Callable[[Cli], Cli], tmp_path: Path
) -> None:
    cli = new_cli(file=tmp_path / "versioned.py")
    assert cli.file is not None
    old = 16 if cli.engine == "embedded" else 17
    cli.file.write_text(_VERSIONED.format(version=old))
    cli.ok("up")
    inside(cli, "CREATE TABLE notes AS SELECT 1 AS n")
    branch, second = new_branch(cli), new_branch(cli)
    cli.ok("branch", branch.instance)
    inside(branch, "INSERT INTO notes VALUES (2)")

    cli.file.write_text(_VERSIONED.format(version=18))
    error = cli.fails("branch", second.instance, code="data-version")
    assert f"--instance {cli.instance} upgrade db --to 18" in error["hint"]
    assert not second.state.exists(), "nothing is left of a branch that could not be up"
    assert second.data("ls", "--all")["instances"] == []
    cli.ok("upgrade", "db", "--to", "18")
    inside(cli, "INSERT INTO notes VALUES (3)")
    told = branch.fails("up", code="data-version")
    assert f"--instance {branch.instance} upgrade db --to 18" in told["hint"]
    assert inside(branch, _NOTES) == "1 2", "what runs was not touched"
    branch.ok("upgrade", "db", "--to", "18")
    assert inside(branch, _NOTES) == "1 2"
    cli.ok("branch", "reset", branch.instance, "--yes", "--no-snapshot")
    assert inside(branch, _NOTES) == "1 3"

    cli.reset()
    assert [each["parent_gone"] for each in branch.data("branch", "list")["branches"]] == [True]
    gone = branch.fails("branch", "reset", branch.instance, "--yes", code="instance-down")
    assert f"{cli.instance} does not exist" in gone["message"]
    assert inside(branch, _NOTES) == "1 3"
    branch.ok("down")
    branch.ok("up")
    assert inside(branch, _NOTES) == "1 3"
