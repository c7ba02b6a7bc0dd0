"""`dump`, `load`, `seed` and `shell`: what goes out comes in again, all of it or nothing, in little memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli
from tests.conformance.engines import on_a_server_at_length, on_docker_at_length, on_one_engine

Make = Callable[..., Cli]

# A thousand rows of a megabyte each: it takes little room in the database, and a gigabyte on its way out and in.
_GIGABYTE = "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 32768) AS text FROM generate_series(1, 1050) AS n"
_MOST_MEMORY = 150 * 2**20


def value(cli: Cli, query: str) -> str | None:
    rows: list[list[str | None]] = cli.data("inspect", "db", "--query", query)["rows"]
    return rows[0][0]


def piped(cli: Cli, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        cli.arguments(*words), input=given, capture_output=True, cwd=cli.folder, env=cli.whole_environment, check=False
    )


@on_a_server_at_length
def test_a_dump_comes_in_again_in_the_place_of_what_is_there(up: Cli, tmp_path: Path) -> None:
    file = tmp_path / "notes.dump"
    count = up.visit()
    dumped = up.data("dump", "--format", "custom", str(file))
    assert dumped["bytes"] == file.stat().st_size
    assert oct(file.stat().st_mode & 0o777) == "0o600", "nobody else reads what the database holds"
    assert up.visit() == count + 1
    up.ok("load", "--replace", "--yes", "--no-snapshot", str(file))
    assert up.visit() == count + 1, "Redis does not know better either"


@on_docker_at_length
def test_a_dump_goes_through_pipes(up: Cli) -> None:
    count = up.visit()
    out = piped(up, "dump", "-")
    assert out.returncode == 0, out.stderr
    assert b"COPY public.visit_counter" in out.stdout
    assert piped(up, "dump", "--format", "custom").stdout.startswith(b"PGDMP")
    into = piped(up, "load", "--replace", "--yes", "--no-snapshot", "-", given=gzip.compress(out.stdout))
    assert into.returncode == 0, into.stderr
    assert up.visit() == count + 1


@on_one_engine
def test_a_dump_ends_quietly_when_its_reader_has_gone(up: Cli) -> None:
    up.ok("seed", "-", stdin="CREATE TABLE long AS SELECT repeat('x', 500) FROM generate_series(1, 2000)")
    with subprocess.Popen(
        up.arguments("dump"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=up.folder, env=up.whole_environment
    ) as dump:
        assert dump.stdout is not None
        assert dump.stderr is not None
        dump.stdout.read(10)
        dump.stdout.close()
        assert dump.stderr.read() == b""
        assert dump.wait(60) == 0
    with open("/dev/full", "wb") as full:
        told = subprocess.run(
            up.arguments("dump"), stdout=full, stderr=subprocess.PIPE, cwd=up.folder, env=up.whole_environment
        )
    up.ok("inspect", "db", "--query", "DROP TABLE long")
    assert told.returncode == 1
    assert b"Error (disk-full): standard output: No space left on device" in told.stderr
    assert b"bug" not in told.stderr
    assert b"ignored" not in told.stderr


@on_one_engine
def test_sql_is_taken_whole_or_not_at_all(up: Cli, tmp_path: Path) -> None:
    count = up.visit()
    bad = {
        "a mistake": "CREATE TABLE bad (a int);\nINSERT INTO bad VALUES (1);\nSELECT wrong;\n",
        "cut off in a string": "CREATE TABLE bad (a text);\nINSERT INTO bad VALUES ('never ends",
        "cut off in a copy": "CREATE TABLE bad (a int);\nCOPY bad FROM stdin;\n1\n2",
        "ended by itself": "CREATE TABLE bad (a int);\n\\q\n",
        "not for a transaction": "CREATE TABLE bad (a int);\nVACUUM bad;\n",
    }
    file = tmp_path / "bad.sql"
    for case, text in bad.items():
        file.write_text(text)
        error = up.fails("load", str(file), code="load-failed")
        assert "nothing of it was kept" in error["message"], case
        assert value(up, "SELECT to_regclass('bad')") is None, case
    file.write_text(bad["a mistake"])
    error = up.fails("seed", str(file), code="load-failed")
    assert 'column "wrong" does not exist' in error["message"]
    assert ":3:" in error["output"], "it names the line of the file"
    cut = tmp_path / "cut.sql.gz"
    cut.write_bytes(gzip.compress(os.urandom(3000).hex().join(["-- ", "\nCREATE TABLE bad (a int);"]).encode())[:-900])
    up.fails("load", str(cut), code="file-unusable")
    assert value(up, "SELECT to_regclass('bad')") is None
    assert up.visit() == count + 1


# Each makes a table, and would keep it or end in another database.
_TORN = {
    "line 2: COMMIT": "CREATE TABLE bad (a int);\nCOMMIT; SELECT 1/0;",
    "line 1: BEGIN": "BEGIN; CREATE TABLE bad (a int); COMMIT;",
    "line 3: COMMIT": "CREATE TABLE bad (a int);\n\nCOMMIT; BEGIN; SAVEPOINT whole; SELECT 1/0;",
    "line 4: COMMIT": "CREATE TABLE bad (a int);\n\n\nCOMMIT AND CHAIN; SELECT 1/0;",
    "line 1: ROLLBACK": "ROLLBACK; CREATE TABLE bad (a int);",
    r"line 2: \connect": "CREATE TABLE bad (a int);\n\\connect postgres\nBEGIN; SAVEPOINT whole;",
    r"line 1: \set": "\\set ON_ERROR_STOP off\nSELECT 1/0; ROLLBACK TO whole; CREATE TABLE bad (a int);",
    'savepoint "whole" does not exist': "CREATE TABLE bad (a int); ROLLBACK TO whole;",
    "invalid transaction termination": "CREATE TABLE bad (a int); DO $$ BEGIN COMMIT; END $$;",
    "cannot run inside a transaction block": "CREATE TABLE bad (a int); VACUUM bad;",
}


@on_one_engine
@pytest.mark.parametrize("problem", _TORN)
def test_what_ends_the_transaction_is_refused_by_name(up: Cli, tmp_path: Path, problem: str) -> None:
    file = tmp_path / "torn.sql"
    file.write_text(_TORN[problem])
    error = up.fails("seed" if "BEGIN" in problem else "load", str(file), code="load-failed")
    assert "nothing of it was kept" in error["message"]
    assert problem in error["message"]
    assert value(up, "SELECT to_regclass('bad')") is None


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (r"line 1: \!: psql commands", "\\! touch {mark}\n"),
        (r"line 1: \g: psql commands", "SELECT 1 \\g |touch {mark}\n"),
        (r"line 2: \copy: psql commands", "CREATE TABLE bad (a text);\n\\copy bad from program 'touch {mark}'\n"),
        (r"line 1: \i: psql commands", "\\i /etc/passwd\n"),
        (r"line 1: \o: psql commands", "\\o {mark}\nSELECT 1;\n"),
        # What the server does not take as a COPY is no data for psql to skip.
        ('relation "bad" does not exist', "COPY bad FROM stdin;\n\\! touch {mark}\n\\.\n"),
    ],
)
@on_one_engine
@pytest.mark.long
def test_a_file_is_data_and_runs_no_program(up: Cli, tmp_path: Path, told: str, text: str) -> None:
    mark, file = tmp_path / "mark", tmp_path / "program.sql"
    tmp_path.chmod(0o777)
    file.write_text(text.format(mark=mark))
    for command in (["load"], ["load", "--replace", "--yes", "--no-snapshot"]):
        assert told in up.fails(*command, str(file), code="load-failed")["message"]
    assert not mark.exists()
    assert value(up, "SELECT to_regclass('bad')") is None


def test_what_only_looks_like_a_command_is_data(up: Cli) -> None:
    text = (
        "CREATE TABLE odd (a text);\nCOPY odd FROM stdin;\n\\N\n\\\\.\nCOMMIT;\n\\.\n"
        "INSERT INTO odd VALUES ('\\! touch x'), (E'it''s \\' \\\\g |x'), ($$COMMIT; \\$$); -- ROLLBACK;\nSELECT 1"
    )
    up.ok("load", "-", stdin=text)
    rows = up.data("inspect", "db", "--query", "SELECT a FROM odd")["rows"]
    assert [row for (row,) in rows] == [None, "\\.", "COMMIT;", "\\! touch x", "it's ' \\g |x", "COMMIT; \\"]
    up.ok("inspect", "db", "--query", "DROP TABLE odd")


@on_one_engine
def test_a_broken_replacement_leaves_what_is_there(up: Cli, tmp_path: Path) -> None:
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE visit_counter (a int); SELECT wrong;")
    count, before = up.visit(), up.data("status")["components"]
    up.fails("load", "--replace", "--yes", str(file), code="load-failed")
    assert up.data("status")["components"] == before
    assert up.visit() == count + 1


@on_one_engine
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 no dump", b"PK\x03\x04 a zip"])
def test_what_is_no_dump_is_refused(up: Cli, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd"
    file.write_bytes(content)
    assert str(file) in up.fails("load", str(file), code="load-format")["message"]
    up.fails("load", str(tmp_path / "missing"), code="file-unusable")


@on_a_server_at_length
def test_a_seed_is_sql_in_one_transaction(up: Cli, tmp_path: Path) -> None:
    file = tmp_path / "pages.sql"
    file.write_text("\ufeffINSERT INTO visit_counter (page, visits) VALUES ('seeded', 41)", encoding="utf-8")
    assert up.get("/visits/seeded")[1]["visits"] == 0
    up.ok("seed", str(file))
    assert up.get("/visits/seeded")[1]["visits"] == 41
    custom = tmp_path / "custom.dump"
    up.ok("dump", "--format", "custom", str(custom))
    up.fails("seed", str(custom), code="load-format")
    up.ok("inspect", "db", "--query", "DELETE FROM visit_counter WHERE page = 'seeded'")


@on_one_engine
def test_files_are_not_written_over(up: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("mine")
    up.fails("dump", str(file), code="file-unusable")
    assert file.read_text() == "mine"
    up.fails("dump", str(tmp_path / "no folder" / "x.sql"), code="file-unusable")
    up.fails("dump", code="usage", exit_code=2)


def test_a_shell_is_read_only_unless_writing_is_asked_for(up: Cli) -> None:
    asked = up.ok("shell", "db", stdin="SELECT 'it ' || 'reads';\n")
    assert "it reads" in asked.stdout
    refused = up.run("shell", "db", stdin="\\set ON_ERROR_STOP on\nCREATE TABLE slip (a int);\n")
    assert refused.exit_code == 3
    assert "read-only transaction" in refused.stderr
    up.ok("shell", "db", "--write", stdin="CREATE TABLE meant (a int); DROP TABLE meant;\n")
    assert up.ok("shell", "cache", stdin="ECHO hello\n").stdout.strip().strip('"') == "hello"
    for name, problem in (("web", "which has no client"), ("nothing", "is not a component")):
        told = up.run("shell", name)
        assert told.exit_code == 2
        assert problem in told.stderr


@pytest.mark.long
@on_one_engine
def test_a_gigabyte_goes_out_and_in_in_little_memory(cli: Cli, tmp_path: Path) -> None:
    cli.up()
    cli.ok("seed", "-", stdin=_GIGABYTE)
    file = tmp_path / "big.sql.zst"
    assert _memory_of(cli, "dump", str(file)) < _MOST_MEMORY
    assert file.stat().st_size < 2**28
    plain = cli.data("inspect", "db", "--query", "SELECT sum(length(text)) FROM big")["rows"][0][0]
    assert int(plain) > 2**30
    assert _memory_of(cli, "load", "--replace", "--yes", "--no-snapshot", str(file)) < _MOST_MEMORY
    assert cli.data("inspect", "db", "--query", "SELECT sum(length(text)) FROM big")["rows"][0][0] == plain


# A process counts as its own what its parent had in memory when it was forked: so the parent has to be a small one.
_MEASURED = """\
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ended.returncode)
"""


def _memory_of(cli: Cli, *words: str) -> int:
    """The most bytes that a command, or one of those that it ran, had in memory at once."""
    measured = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURED, *cli.arguments(*words)],
        capture_output=True, text=True, cwd=cli.folder, env=cli.whole_environment, check=False,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    assert "MB" in measured.stderr, "it tells how far it is"
    return int(measured.stdout) * 1024
