"""A schema is made by files, each applied once, in order, whole, and before those who use it begin."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length, on_one_engine

Make = Callable[..., Cli]

STACK = """\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web

db = replace(db, migrations="migrations")
web = replace(web, source={source!r})
stack = Stack("playground", [web, db, cache])
"""


class Schema:
    """An instance of the playground with a folder of migrations of its own."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        from stack.playground import web
        from stack.settings import PLAYGROUND

        self.cli = cli
        self.folder = folder / "migrations"
        self.folder.mkdir()
        source = (PLAYGROUND.parent / str(web.source)).resolve()
        (folder / "own.py").write_text(STACK.format(source=str(source)), encoding="utf-8")
        self.write("0001_visits.sql", (source / "migrations" / "0001_visit_counter.sql").read_text(encoding="utf-8"))

    def write(self, name: str, sql: str) -> None:
        (self.folder / name).write_text(sql, encoding="utf-8")

    def applied(self) -> list[str | None]:
        query = "SELECT name FROM stackctl.migrations ORDER BY applied_at"
        return [name for (name,) in self.cli.data("inspect", "db", "--query", query)["rows"]]


@pytest.fixture
def schema(new_cli: Make, tmp_path: Path) -> Schema:
    return Schema(new_cli(file=tmp_path / "own.py"), tmp_path)


def test_each_migration_is_applied_once_in_order_before_the_app(schema: Schema) -> None:
    cli = schema.cli
    schema.write("10_second.sql", "INSERT INTO notes VALUES ('from the second')")
    schema.write("9_first.sql", "CREATE TABLE notes (text text); -- no semicolon at the end of the next\nSELECT 1")
    assert cli.data("plan")["migrations"] == {"db": ["0001_visits.sql", "9_first.sql", "10_second.sql"]}
    told = cli.ok("up", "--port", str(cli.port)).stderr
    first_of_web = next(line for line in told.splitlines() if re.search(r"web: (starting|created)", line))
    assert told.index("applying 10_second.sql") < told.index(first_of_web)
    assert schema.applied() == ["0001_visits.sql", "9_first.sql", "10_second.sql"]
    assert cli.pending() == []
    before = cli.data("status")["components"]

    schema.write("11_third.sql", "INSERT INTO notes VALUES ('from the third')")
    assert cli.data("plan")["migrations"] == {"db": ["11_third.sql"]}
    assert cli.run("plan", "--exit-code").exit_code == 3
    assert cli.visit() == 1
    cli.ok("up")
    assert cli.data("inspect", "db", "--query", "SELECT text FROM notes")["rows"] == [
        ["from the second"],
        ["from the third"],
    ]
    assert cli.data("status")["components"] == before, "for a migration nothing is started again"
    assert cli.visit() == 2


@on_one_engine
def test_a_failing_migration_is_rolled_back_and_touches_no_app(schema: Schema) -> None:
    cli = schema.cli
    schema.write("0002_bad.sql", "CREATE TABLE half (a int);\nINSERT INTO half VALUES ('no number');")
    error = cli.fails("up", "--port", str(cli.port), code="migration-failed")
    assert "0002_bad.sql" in error["message"]
    assert ":2: ERROR:  invalid input syntax for type integer" in error["output"]
    assert cli.data("status")["components"]["web"]["state"] == "absent", "the app did not begin on half a schema"
    schema.write("0002_bad.sql", "CREATE TABLE half (a int);\nINSERT INTO half VALUES (1);")
    cli.up()
    assert schema.applied() == ["0001_visits.sql", "0002_bad.sql"]
    count, before = cli.visit(), cli.data("status")["components"]

    schema.write("0003_ends.sql", "CREATE TABLE other (a int);\nCOMMIT;\nSELECT 1/0;\n")
    error = cli.fails("up", code="migration-failed")
    assert "line 2: COMMIT" in error["output"]
    assert "nothing of it was kept" in error["message"]
    schema.write("0003_ends.sql", "CREATE TABLE other (a int);\nVACUUM half;\n")
    assert "`-- stackctl: no-transaction`" in cli.fails("up", code="migration-failed")["hint"]
    schema.write("0003_ends.sql", "\\! touch x\n")
    assert r"line 1: \!" in cli.fails("up", code="migration-failed")["output"]
    (schema.folder / "0003_ends.sql").unlink()
    assert cli.data("status")["components"] == before
    assert cli.data("inspect", "db", "--query", "SELECT to_regclass('other')")["rows"] == [[None]]
    assert cli.visit() == count + 1


@on_one_engine
@pytest.mark.long
def test_a_migration_without_transaction_is_recorded_on_success(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    head = "-- stackctl: no-transaction\n"
    schema.write("0002_index.sql", head + "CREATE INDEX CONCURRENTLY one ON visit_counter (visits);\nSELECT 1/0;\n")
    error = cli.fails("up", code="migration-failed")
    assert "the statements before the one that failed were kept" in error["message"]
    assert schema.applied() == ["0001_visits.sql"]
    schema.write("0002_index.sql", head + "CREATE TABLE other (a int);\nCOMMIT;\n")
    assert "nothing of it was kept" in cli.fails("up", code="migration-failed")["message"], "it is read before it runs"
    schema.write(
        "0002_index.sql", "\ufeff" + head + "DROP INDEX one; CREATE INDEX CONCURRENTLY one ON visit_counter (visits)"
    )
    told = cli.ok("up").stdout
    assert "applied 0002_index.sql" in told
    assert "nothing changed" not in told
    assert schema.applied() == ["0001_visits.sql", "0002_index.sql"]


def _hold_a_lock(cli: Cli, seconds: float) -> subprocess.Popen[str]:
    """Begin a transaction that reads the table of visits and goes on; the caller ends it."""
    statements = f"LOCK TABLE visit_counter IN ACCESS SHARE MODE; SELECT pg_sleep({seconds})"
    holder = cli.start("exec", "db", "--", "psql", "-U", "student", "-d", "student_notes", "-c", statements)
    held = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE relation = 'visit_counter'::regclass AND wait_event = 'PgSleep'"
    )
    eventually(lambda: cli.data("inspect", "db", "--query", held)["rows"] == [["1"]])
    return holder


@on_one_engine
def test_a_migration_waits_for_a_lock_for_moments_and_is_tried_again(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    schema.write("0002_column.sql", "ALTER TABLE visit_counter ADD COLUMN note text")
    with _hold_a_lock(cli, 2.5) as holder:
        told = cli.ok("up")
        assert holder.wait(30) == 0
    assert "0002_column.sql was not given a lock; trying it again" in told.stderr
    assert schema.applied() == ["0001_visits.sql", "0002_column.sql"]


@on_one_engine
@pytest.mark.long
def test_a_migration_that_gets_no_lock_names_what_to_end(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    schema.write("0002_column.sql", "ALTER TABLE visit_counter ADD COLUMN note text")
    with _hold_a_lock(cli, 600) as holder:
        trying = cli.start("--json", "up")
        with trying:
            visits = 0
            while trying.poll() is None:
                visits = cli.visit()
            assert trying.returncode == 1
            assert trying.stdout is not None
            error = json.loads(trying.stdout.read())["error"]
        assert error["code"] == "migration-blocked"
        assert re.search(
            r"process \d+ of student \(psql\): active for \d+ s: LOCK TABLE visit_counter", error["output"]
        )
        assert visits > 1, "the app served on"
        ended = re.search("`(SELECT [^`]*)` in `stackctl [^`]*(shell db[^`]*)`", error["hint"])
        assert ended is not None, error["hint"]
        cli.ok(*ended[2].split(), stdin=ended[1])
        assert holder.wait(30) != 0
    cli.ok("up")
    assert schema.applied() == ["0001_visits.sql", "0002_column.sql"]


@on_one_engine
@pytest.mark.long
def test_of_two_programs_that_apply_migrations_one_waits(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    schema.write("0002_notes.sql", "CREATE TABLE notes (text text)")
    meanwhile = (
        "BEGIN; SELECT pg_advisory_xact_lock(x'737461636b63746c'::bigint); SELECT pg_sleep(3);"
        " CREATE TABLE notes (text text);"
        " INSERT INTO stackctl.migrations (name, checksum) VALUES ('0002_notes.sql', 'of the other'); COMMIT"
    )
    other = cli.start("exec", "db", "--", "psql", "-U", "student", "-d", "student_notes", "-c", meanwhile)
    with other:
        locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        eventually(lambda: cli.data("inspect", "db", "--query", locked)["rows"] == [["1"]])
        told = cli.ok("up")
        assert other.wait(30) == 0
    assert "0002_notes.sql was not given a lock; trying it again" in told.stderr
    assert schema.applied() == ["0001_visits.sql", "0002_notes.sql"]


@on_docker_at_length
def test_a_rehearsal_tells_what_each_statement_does_and_does_it_to_a_copy(schema: Schema) -> None:
    cli = schema.cli
    schema.write("0002_notes.sql", "CREATE TABLE notes (id int); INSERT INTO notes SELECT generate_series(1, 50)")
    schema.write("0003_old.sql", "CREATE TABLE old (a int)")
    cli.up()
    count, before = cli.visit(), cli.data("status")["components"]
    schema.write(
        "0004_more.sql",
        "-- what is new\nALTER TABLE notes\n  ALTER COLUMN id TYPE bigint;\n"
        "UPDATE notes SET id = id + 1 WHERE id > 40;\n"
        "CREATE TABLE new (a int); INSERT INTO new VALUES (1);\nCOPY new FROM stdin;\n2\n\\.\nDROP TABLE old;\n",
    )
    schema.write("0005_apart.sql", "-- stackctl: no-transaction\nCREATE INDEX CONCURRENTLY apart ON notes (id)")

    told = cli.data("plan", "--rehearse")
    first, second = told["rehearsal"]["migrations"]["db"]
    seen = {each["line"]: each for each in first["statements"]}
    assert (seen[2]["text"], seen[2]["rewritten"]) == ("ALTER TABLE notes ALTER COLUMN id TYPE bigint", ["notes"])
    (lock,) = seen[2]["locks"]
    assert (lock["table"], lock["mode"], lock["blocks"]) == ("notes", "AccessExclusiveLock", "reads and writes")
    assert seen[2]["seconds"] <= lock["seconds"] <= first["seconds"]
    assert (seen[4]["rows"], seen[4]["locks"]) == ({"notes": 10}, [])
    assert (seen[6]["text"], seen[6]["rows"]) == ("COPY new FROM stdin", {"new": 1}), (
        "the data of a COPY is no statement"
    )
    assert (seen[9]["dropped"], seen[9]["locks"][0]["table"]) == (["old"], "old")
    assert [each["text"] for each in second["statements"]] == ["CREATE INDEX CONCURRENTLY apart ON notes (id)"]
    text = cli.ok("plan", "--rehearse").stdout
    assert "changes 10 rows of notes" in text
    assert re.search(r"blocks reads and writes of notes for \d+ ms", text), text

    schema.write("0006_bad.sql", "DELETE FROM notes;\n\nSELECT 1/0;\n")
    error = cli.fails("plan", "--rehearse", code="migration-failed")
    assert "the data itself was not touched" in error["message"]
    assert error["output"].startswith("line 3: ERROR:  division by zero"), error
    assert schema.applied() == ["0001_visits.sql", "0002_notes.sql", "0003_old.sql"]
    assert cli.data("inspect", "db", "--query", "SELECT count(*), max(id) FROM notes")["rows"] == [["50", "50"]]
    assert cli.data("status")["components"] == before
    assert cli.visit() == count + 1

    (schema.folder / "0006_bad.sql").unlink()
    cli.ok("up")
    assert cli.data("plan", "--rehearse")["rehearsal"]["migrations"] == {}
    assert len(cli.data("down")["kept"]) == 1, "no copy is left"


@on_one_engine
@pytest.mark.long
def test_an_edited_or_late_migration_is_an_error_with_its_name(schema: Schema) -> None:
    cli = schema.cli
    schema.write("0003_notes.sql", "CREATE TABLE notes (text text)")
    cli.up()
    schema.write("0003_notes.sql", "CREATE TABLE notes (text text, more text)")
    assert "0003_notes.sql" in cli.fails("up", code="migration-edited")["message"]
    assert cli.data("plan")["obstacle"]["code"] == "migration-edited"
    (schema.folder / "0003_notes.sql").unlink()
    for command in ("plan", "up"):
        assert "db has had 0003_notes.sql, no longer in its folder of migrations" in cli.ok(command).stdout
    assert cli.data("up")["changed"] is False, "another branch may have one that this one lacks"
    schema.write("0002_late.sql", "SELECT 1")
    assert "0002_late.sql" in cli.fails("up", code="migration-order")["message"]
    assert cli.visit() == 1, "what runs was not touched"


@on_one_engine
@pytest.mark.long
def test_a_snapshot_knows_which_migrations_it_has_had(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    cli.ok("snapshot", "save", "before")
    schema.write("0002_notes.sql", "CREATE TABLE notes (text text)")
    cli.ok("up")
    cli.ok("snapshot", "restore", "before", "--yes", "--no-snapshot")
    assert schema.applied() == ["0001_visits.sql", "0002_notes.sql"], "what it lacked it got when it was restored"
    assert cli.pending() == []


@on_one_engine
@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["notes.sql"], "notes.sql has no number"),
        (["1_a.sql", "01_b.sql"], "have the same number"),
    ],
)
def test_a_folder_that_has_no_order_is_told(new_cli: Make, tmp_path: Path, files: list[str], problem: str) -> None:
    schema = Schema(new_cli(file=tmp_path / "own.py"), tmp_path)
    for name in files:
        schema.write(name, "SELECT 1")
    (schema.folder / "0001_visits.sql").unlink()
    assert problem in schema.cli.fails("up", code="declaration-invalid", exit_code=2)["message"]


@on_one_engine
@pytest.mark.long
def test_a_role_that_may_only_read_hinders_no_work_of_stackctl(schema: Schema) -> None:
    cli = schema.cli
    cli.up()
    read_only = "ALTER ROLE student SET default_transaction_read_only = on"
    cli.ok("exec", "db", "--", "psql", "-U", "student", "-d", "student_notes", "-c", read_only)
    cli.ok("reset", "--yes")
    cli.ok("undo")
    schema.write("0002_notes.sql", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('written')")
    schema.write("0003_apart.sql", "-- stackctl: no-transaction\nCREATE INDEX CONCURRENTLY apart ON notes (text)")
    cli.up()
    assert schema.applied() == ["0001_visits.sql", "0002_notes.sql", "0003_apart.sql"]
    cli.ok("rotate", "db")
    cli.ok("seed", "-", stdin="INSERT INTO notes VALUES ('seeded')")
    rows = cli.data("inspect", "db", "--query", "SELECT count(*), current_setting('transaction_read_only') FROM notes")
    assert rows["rows"] == [["2", "on"]]
