"""Snapshots: saved while the stack serves, restored anywhere, checked before and after, and never half of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import (
    on_a_server_at_length,
    on_containers_at_length,
    on_docker_at_length,
    on_one_engine,
    on_others_at_length,
)
from tests.load import Load

Make = Callable[..., Cli]

# What a plain dump of one schema would miss.
_EVERYTHING = """
CREATE ROLE "Reader's" LOGIN PASSWORD 'of the reader';
CREATE SCHEMA "odd ""schema";
CREATE TABLE "odd ""schema"."a table" (id serial PRIMARY KEY, "the row" text, at timestamptz DEFAULT now(), raw bytea);
INSERT INTO "odd ""schema"."a table" ("the row", raw) SELECT repeat('ü', n), decode(md5(n::text), 'hex')
    FROM generate_series(1, 500) AS n;
GRANT SELECT ON ALL TABLES IN SCHEMA "odd ""schema" TO "Reader's";
SELECT lo_from_bytea(0, 'a large object');
ALTER ROLE student SET statement_timeout = '50ms';
"""


@pytest.fixture
def snapshot(up: Cli, tmp_path: Path) -> Path:
    """One of an instance that was visited, in a file."""
    up.visit()
    path = tmp_path / "saved.zip"
    up.ok("snapshot", "save", "--output", str(path))
    return path


def rows(cli: Cli, query: str) -> list[list[str | None]]:
    found: list[list[str | None]] = cli.data("inspect", "db", "--query", query)["rows"]
    return found


def inside(cli: Cli, sql: str, database: str = "student_notes") -> str:
    """Run it as the administrator, which may make databases and roles."""
    quiet = f'\\set QUIET on\n\\set ON_ERROR_STOP on\n\\t on\n\\a\n\\c "{database}"\n'
    return cli.ok("shell", "db", "--write", "--admin", stdin=quiet + sql).stdout.strip()


@on_containers_at_length
def test_a_snapshot_brings_all_back_and_undo_what_came_after(cli: Cli) -> None:
    cli.up()
    inside(cli, "CREATE DATABASE \"the other's\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    inside(cli, "CREATE TABLE kept AS SELECT 'é' AS word", database="the other's")
    inside(cli, _EVERYTHING)
    assert [cli.visit() for _ in range(3)] == [1, 2, 3]
    saved = cli.data("snapshot", "save", "all")
    tables = {each["table"]: each["rows"] for each in saved["components"]["db"]["databases"]["student_notes"]}
    assert tables['"odd ""schema"."a table"'] == 500
    assert tables["pg_catalog.pg_largeobject"] == 1

    assert cli.visit() == 4
    inside(cli, 'DROP SCHEMA "odd ""schema" CASCADE')
    restored = cli.data("snapshot", "restore", "all", "--yes")
    assert restored["rows"] == saved["rows"]
    assert cli.visit() == 4, "the visit after the snapshot is gone, from Redis too"
    assert inside(cli, 'SELECT count(*) FROM "odd ""schema"."a table"') == "500"
    assert inside(cli, "SELECT word FROM kept", database="the other's") == "é"
    assert inside(cli, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata") == "a large object"
    assert inside(cli, "SELECT has_table_privilege('Reader''s', '\"odd \"\"schema\".\"a table\"', 'SELECT')") == "t"
    assert cli.data("inspect", "cache")["agreement"] == "agrees"
    assert cli.pending() == []

    cli.ok("undo", "--yes")
    assert inside(cli, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'odd%'") == "0"
    assert cli.visit() == 5, "what was there before the restore is there again"
    cli.ok("undo", "--yes")
    assert inside(cli, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'odd%'") == "1", "the undo was undone"
    reasons = [each["reason"] for each in cli.data("snapshot", "list")["snapshots"]]
    assert reasons == ["undo", "undo", "restore", "asked"]


@on_docker_at_length
def test_a_snapshot_holds_no_database_that_is_as_in_a_new_server(snapshot: Path) -> None:
    with zipfile.ZipFile(snapshot) as archive:
        assert {*archive.namelist()} == {"manifest.json", "db/roles.sql", "db/1.dump.zst"}


@pytest.mark.docker
@on_others_at_length
def test_a_snapshot_goes_to_the_other_engine_under_another_name(
    engine: str, up: Cli, snapshot: Path, new_cli: Make
) -> None:
    (count,) = rows(up, "SELECT visits FROM visit_counter WHERE page = 'homepage'")[0]
    other = new_cli(engine="embedded" if engine == "compose" else "compose")
    # The order of letters of the image is one of the system's, which not every machine has.
    moved = other.data("snapshot", "restore", "--accept-loss", "--input", str(snapshot))
    assert moved["rows"] == 1, "it needs no question where there is nothing to replace"
    other = Cli(other.folder, other.instance, _port(other), engine=other.engine)
    assert other.visit() == int(count or 0) + 1
    assert other.pending() == []


def _port(cli: Cli) -> int:
    return int(cli.data("status")["urls"]["web"].rpartition(":")[2])


@on_one_engine
def test_what_a_reset_deleted_undo_brings_back_at_the_same_address(kept: Cli) -> None:
    count = kept.visit()
    deleted = kept.data("reset", "--yes")
    assert Path(deleted["snapshot"]).is_file()
    assert deleted["ports"] == {"web": kept.port}, "what a new `up` would not know any more"
    assert not kept.state.exists()
    kept.ok("undo")
    assert kept.visit() == count + 1
    assert kept.data("status")["engine"] == kept.engine


@on_one_engine
def test_a_reset_without_a_snapshot_says_so_and_can_not_be_undone(cli: Cli) -> None:
    cli.up()
    cli.visit()
    done = cli.ok("reset", "--yes", "--no-snapshot")
    assert "undo" not in done.stdout
    assert cli.fails("undo", code="nothing-to-undo")["hint"]


@pytest.mark.long
def test_what_is_saved_under_load_is_one_moment_and_it_serves_on(kept: Cli) -> None:
    count = kept.visit()
    load = Load(lambda: [kept.port], readers=0)
    load.start()
    try:
        eventually(lambda: load.acknowledged() > 50)
        began = time.monotonic()
        kept.ok("snapshot", "save", "under-load")
        ended = time.monotonic()
        eventually(lambda: load.log[-1].start > ended)
    finally:
        load.stop()
    assert {each.outcome for each in load.log} == {"ok"}, "it serves on while it is saved"
    kept.ok("snapshot", "restore", "under-load", "--yes")
    saved = kept.visit() - 1 - count
    acknowledged = sum(each.end < began for each in load.log)
    attempted = sum(each.start < ended for each in load.log)
    assert acknowledged <= saved <= attempted


@on_a_server_at_length
@pytest.mark.long
def test_a_restore_under_load_can_be_undone_without_loss(kept: Cli) -> None:
    kept.ok("snapshot", "save", "before")
    load = Load(lambda: [kept.port], readers=0)
    load.start()
    try:
        eventually(lambda: load.acknowledged() > 200)
        kept.ok("snapshot", "restore", "before", "--yes")
        eventually(lambda: load.log[-1].outcome == "ok")
    finally:
        load.stop()
    gap = max(index for index, each in enumerate(load.log) if each.outcome != "ok")
    most = max(each.number for each in load.log[:gap] if each.outcome == "ok")
    unknown = sum(each.outcome == "unknown" for each in load.log)
    kept.ok("undo", "--yes")
    brought_back = kept.visit() - 1
    assert most <= brought_back <= most + unknown, "of what was counted before the restore nothing is lost, or twice"


def flipped(path: Path) -> None:
    """Flip a byte of the largest part; what stands twice in a zip, like a time, may be wrong in one place."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.compress_size)
    data = bytearray(path.read_bytes())
    name, extra = (int.from_bytes(data[largest.header_offset + at :][:2], "little") for at in (26, 28))
    data[largest.header_offset + 30 + name + extra + largest.compress_size // 2] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def without_its_manifest(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")


def of_a_newer_stackctl(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"]) | {"schema": 99}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | {"manifest.json": json.dumps(manifest).encode()}).items():
            archive.writestr(name, data)


@on_one_engine
@pytest.mark.parametrize("damage", [flipped, cut, without_its_manifest, of_a_newer_stackctl])
def test_a_damaged_file_is_refused_before_anything_is_touched(
    up: Cli, snapshot: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    broken = tmp_path / "broken.zip"
    shutil.copy(snapshot, broken)
    damage(broken)
    count, before = up.visit(), up.data("status")["components"]
    for words in (("snapshot", "restore", "--yes"), ("snapshot", "show")):
        error = up.fails(*words, "--input", str(broken), code="snapshot-damaged")
        assert str(broken) in error["message"]
    assert up.data("status")["components"] == before
    assert up.visit() == count + 1


@on_one_engine
def test_a_snapshot_that_differs_once_loaded_is_not_used(up: Cli, snapshot: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(snapshot) as archive, zipfile.ZipFile(forged, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            copy.writestr(name, data.replace(b'"rows": 1', b'"rows": 2') if name == "manifest.json" else data)
    count, before = up.visit(), up.data("status")["components"]
    error = up.fails("snapshot", "restore", "--yes", "--input", str(forged), code="restore-differs")
    assert "public.visit_counter has 1 rows and not 2" in error["message"]
    assert up.data("status")["components"] == before, "nothing was stopped for it"
    assert up.visit() == count + 1
    assert up.data("plan")["data"] == [{"store": _store(up), "effect": "keep", "holds": ANY_TEXT}]


class _AnyText:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]


ANY_TEXT = _AnyText()


def _store(cli: Cli) -> str:
    (data,) = cli.data("plan")["data"]
    return str(data["store"])


@on_one_engine
def test_what_does_not_fit_is_refused(up: Cli, snapshot: Path, new_cli: Make, tmp_path: Path) -> None:
    file = tmp_path / "other.py"
    older = 16 if up.engine == "embedded" else 17
    for declared, problem in (
        ('Postgres("db", user="somebody", database="student_notes")', "its user of db is 'student'"),
        ('Postgres("db", user="student", database="notes")', "its database of db is 'student_notes'"),
        ('Postgres("data", user="student", database="student_notes")', "no database of this name is declared"),
        (f'Postgres("db", user="student", database="student_notes", version={older})', "data goes to a newer one only"),
    ):
        file.write_text(f"from stack import Postgres, Stack\nstack = Stack('other', [{declared}])\n")
        cli = new_cli(file=file)
        error = cli.fails("snapshot", "restore", "--input", str(snapshot), code="snapshot-differs")
        assert problem in error["message"]


@on_docker_at_length
@pytest.mark.long
def test_a_snapshot_of_what_is_down_is_made_and_it_stays_down(cli: Cli) -> None:
    cli.fails("snapshot", "save", code="nothing-to-save")
    cli.up()
    cli.visit()
    cli.ok("down")
    saved = cli.data("snapshot", "save", "down")
    assert saved["rows"] == 1
    assert cli.data("status")["state"] == "absent"
    cli.ok("snapshot", "restore", "down", "--yes", "--no-snapshot")
    assert cli.data("status")["state"] == "up"
    assert cli.visit() == 2
    assert [each["name"] for each in cli.data("snapshot", "list")["snapshots"]] == ["down"]


@on_one_engine
def test_snapshots_are_listed_shown_and_deleted_by_name(up: Cli) -> None:
    up.ok("snapshot", "save", "first")
    assert "first" in up.fails("snapshot", "save", "first", code="snapshot-exists")["message"]
    assert "first" in up.fails("snapshot", "show", "second", code="snapshot-unknown")["message"]
    up.fails("snapshot", "save", "No Name", code="usage", exit_code=2)
    up.fails("snapshot", "restore", "--yes", code="usage", exit_code=2)
    up.fails("snapshot", "delete", "first", code="usage", exit_code=2)
    listed = up.ok("snapshot", "list").stdout
    assert "first" in listed
    shown = up.ok("snapshot", "show", "first").stdout
    assert "public.visit_counter" in shown
    up.ok("snapshot", "delete", "first", "--yes")
    assert "first" not in up.ok("snapshot", "list").stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 32 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder]).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@on_one_engine
def test_a_disk_that_is_nearly_full_is_told_and_nothing_is_written(up: Cli, small_disk: Path) -> None:
    error = up.fails("snapshot", "save", "--output", str(small_disk / "saved.zip"), code="disk-full")
    assert "32 MB" in error["message"] or "34 MB" in error["message"]
    assert list(small_disk.iterdir()) == []


@on_one_engine
def test_a_reset_that_can_not_save_deletes_nothing(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    snapshots = cli.folder / ".stackctl" / ".snapshots"
    snapshots.parent.mkdir(exist_ok=True)
    snapshots.write_text("in the way")
    error: dict[str, Any] = cli.fails("reset", "--yes", code="state-unusable")
    assert "nothing was deleted" in error["hint"]
    assert "--no-snapshot" in error["hint"]
    snapshots.unlink()
    assert cli.visit() == count + 1, "what was stopped to save it was started again"
