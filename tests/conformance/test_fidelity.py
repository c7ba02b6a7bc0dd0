"""A snapshot brings back all that is in a server, also what no dump of a database has; else it says so before."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack.snapshots.store import KEPT
from tests.cli import Cli
from tests.conformance.engines import COMPOSE, on_one_engine
from tests.manifests import older

# What belongs to databases and not to their contents, or is set for the whole server.
_SURROUNDINGS = """
CREATE ROLE reader; CREATE ROLE "app rw" CREATEDB;
CREATE DATABASE "odd ""na\\me's" OWNER "app rw" TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C';
CREATE DATABASE archive; CREATE DATABASE blueprint;
\\c archive
CREATE TABLE a AS SELECT generate_series(1, 500) AS i;
\\c blueprint
CREATE TABLE b AS SELECT 1 AS i;
\\c template1
CREATE TABLE in_each (i int);
\\c postgres
REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM PUBLIC;
\\c student_notes
ALTER DATABASE blueprint IS_TEMPLATE true;
ALTER DATABASE archive ALLOW_CONNECTIONS false;
ALTER DATABASE archive CONNECTION LIMIT 7;
ALTER DATABASE student_notes CONNECTION LIMIT 55;
COMMENT ON DATABASE student_notes IS 'it''s \\ ours';
REVOKE CONNECT ON DATABASE student_notes FROM PUBLIC;
GRANT CREATE, TEMPORARY ON DATABASE student_notes TO reader WITH GRANT OPTION;
ALTER DATABASE student_notes SET work_mem = '33MB';
ALTER DATABASE student_notes SET search_path = "$user", public, "odd, one";
ALTER DATABASE archive SET "my.custom" = 'a=b';
ALTER ROLE reader IN DATABASE student_notes SET work_mem = '44MB';
ALTER ROLE ALL SET log_min_duration_statement = '1h';
ALTER SYSTEM SET work_mem = '5MB';
"""
_SEEN = """
SELECT json_build_object(
  'databases', (SELECT json_agg(to_jsonb(d) - 'oid' - 'datfrozenxid' - 'datminmxid' - 'dattablespace' - 'datdba'
    || jsonb_build_object('owner', datdba::regrole::text, 'comment', shobj_description(oid, 'pg_database'))
    ORDER BY datname) FROM pg_database AS d),
  'settings', (SELECT json_agg(json_build_array(datname, rolname, setconfig) ORDER BY datname, rolname)
    FROM pg_db_role_setting
    LEFT JOIN pg_database AS d ON d.oid = setdatabase LEFT JOIN pg_roles AS r ON r.oid = setrole),
  'system', (SELECT json_object_agg(name, setting) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf')
)
"""
# What was saved and could not be loaded, or was not the same when it was compared.
_TRAPS = """
SET SESSION AUTHORIZATION student;
CREATE TYPE letter AS ENUM ('a', 'b', 'c', 'd', 'e', 'f');
CREATE TABLE hashed (of letter) PARTITION BY HASH (of);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT unnest(enum_range(NULL::letter));
CREATE FUNCTION changes() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE TABLE computed (a int, one int GENERATED ALWAYS AS (a + changes()) STORED);
INSERT INTO computed VALUES (1);
CREATE OR REPLACE FUNCTION changes() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2';
CREATE TABLE all_kinds AS SELECT 1 AS i, NULL::text AS nothing, ''::text AS empty, decode('00ff', 'hex') AS raw,
    '{"a": 1}'::json AS json, ARRAY['x', NULL] AS list, now() AS at, 'NaN'::numeric AS number;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM hashed;
CREATE TABLE ddl_log (tag text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO public.ddl_log VALUES (tg_tag); END$$;
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE 'no %', tg_tag; END$$;
RESET SESSION AUTHORIZATION;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION log_ddl();
CREATE TABLE seen_by_the_audit (i int);
CREATE EVENT TRIGGER refuses ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW') EXECUTE FUNCTION refuse();
ALTER ROLE student IN DATABASE archive SET default_transaction_read_only = on;
ALTER DATABASE blueprint SET default_transaction_read_only = on;
"""


def psql(cli: Cli, script: str, database: str = "student_notes") -> str:
    """Run it as the administrator, which may set what belongs to a server."""
    quiet = f'\\set QUIET on\n\\set ON_ERROR_STOP on\n\\t on\n\\a\n\\c "{database}"\n'
    return cli.ok("shell", "db", "--write", "--admin", stdin=quiet + script).stdout.strip()


@on_one_engine
def test_all_that_is_in_a_server_comes_back_after_a_reset(cli: Cli) -> None:
    cli.up()
    psql(cli, _SURROUNDINGS)
    psql(cli, _TRAPS)
    before = json.loads(psql(cli, _SEEN))
    assert {each["datname"] for each in before["databases"]} > {"archive", "blueprint", "odd \"na\\me's"}
    cli.ok("reset", "--yes")
    cli.ok("undo")
    after = json.loads(psql(cli, _SEEN))
    for key in before:
        assert after[key] == before[key], key
    psql(cli, "ALTER DATABASE archive ALLOW_CONNECTIONS true")
    assert psql(cli, "SELECT sum(i) FROM a", database="archive") == "125250"
    assert psql(cli, "SELECT i FROM b", database="blueprint") == "1"
    assert psql(cli, "SELECT count(*) FROM in_each", database="template1") == "0"
    privilege = "SELECT has_function_privilege('student', 'pg_sleep(float8)', 'EXECUTE')"
    assert psql(cli, privilege, database="postgres") == "f"
    assert psql(cli, "SELECT count(*) FROM hashed") == "6"


@pytest.mark.long
@on_one_engine
def test_what_a_server_can_not_have_is_named_before_anything_is_replaced(kept: Cli, tmp_path: Path) -> None:
    count = kept.visit()
    path = tmp_path / "saved.zip"
    kept.ok("snapshot", "save", "--output", str(path))

    def of_another_server(manifest: dict[str, Any]) -> None:
        component = manifest["components"]["db"]["details"]
        for database in component["databases"]:
            if database["name"] == "student_notes":
                database["properties"] |= {"provider": "i", "locale": "de-AT", "collate": "C", "ctype": "C"}
        component["system"] = {"no_such_setting": "1"}
        component["settings"] = [{"database": "student_notes", "role": None, "name": "nor_this", "value": "1"}]

    rewrite(path, of_another_server)
    error = kept.fails("snapshot", "restore", "--yes", "--input", str(path), code="snapshot-loses")
    lost = ("student_notes, de-AT (icu)", "the setting nor_this of student_notes", "ALTER SYSTEM SET no_such_setting")
    for named in lost:
        assert named in error["message"]
    assert "--accept-loss" in error["hint"]
    assert kept.visit() == count + 1, "nothing was touched"
    kept.ok("snapshot", "restore", "--yes", "--no-snapshot", "--accept-loss", "--input", str(path))
    assert kept.visit() == count + 1


@on_one_engine
@pytest.mark.long
def test_settings_that_keep_a_server_from_starting_are_named_before(kept: Cli, tmp_path: Path) -> None:
    count = kept.visit()
    path = tmp_path / "saved.zip"
    kept.ok("snapshot", "save", "--output", str(path))
    set_up = {
        "work_mem": "5MB", "shared_preload_libraries": "not_here", "log_line_prefix": "%m it's [%p] ",
        "shared_buffers": "7TB", "max_connections": "60",
    }  # fmt: skip

    def of_another_server(manifest: dict[str, Any]) -> None:
        manifest["components"]["db"]["details"]["system"] = set_up

    rewrite(path, of_another_server)
    error = kept.fails("snapshot", "restore", "--yes", "--input", str(path), code="snapshot-loses")
    assert 'ALTER SYSTEM SET shared_preload_libraries (could not access file "not_here"' in error["message"]
    assert "ALTER SYSTEM SET shared_buffers (" in error["message"]
    assert not any(f"SET {name}" in error["message"] for name in ("work_mem", "log_line_prefix", "max_connections"))
    assert kept.visit() == count + 1, "nothing was touched"
    kept.ok("snapshot", "restore", "--yes", "--no-snapshot", "--accept-loss", "--input", str(path))
    assert kept.visit() == count + 1
    found = json.loads(psql(kept, _SEEN))["system"]
    assert found == {name: set_up[name] for name in ("work_mem", "log_line_prefix", "max_connections")}
    psql(kept, "ALTER SYSTEM RESET ALL")


# A check that reads another table, by a name that is not found while all is loaded.
_NEVER_COMES_BACK = """
CREATE TABLE limits AS SELECT 10 AS most;
CREATE FUNCTION most() RETURNS int LANGUAGE sql AS 'SELECT most FROM limits';
CREATE TABLE amounts (amount int CHECK (amount < most()));
INSERT INTO amounts VALUES (1);
"""


@on_one_engine
def test_a_reset_deletes_nothing_that_undo_could_not_bring_back(kept: Cli) -> None:
    count = kept.visit()
    _have_automatic_ones(kept)
    psql(kept, _NEVER_COMES_BACK)
    before = kept.data("snapshot", "list")
    error = kept.fails("reset", "--yes", code="restore-failed")
    assert 'relation "limits" does not exist' in error["output"]
    assert "nothing was deleted" in error["hint"]
    assert "--no-snapshot" in error["hint"]
    assert kept.visit() == count + 1, "what was stopped for it was started again"
    assert kept.data("snapshot", "list") == before, "no older one went for one that is worth nothing"
    psql(kept, "DROP TABLE amounts, limits; DROP FUNCTION most")


def _have_automatic_ones(cli: Cli) -> None:
    """Make as many automatic snapshots as are kept, so that another one takes the place of the oldest."""
    cli.ok("snapshot", "save", "one")
    saved = cli.folder / ".stackctl" / ".snapshots" / cli.instance / "one.zip"
    for number in range(KEPT):
        path = saved.with_name(f"before-load-{number}.zip")
        shutil.copy(saved, path)
        rewrite(path, lambda manifest: manifest.update(reason="load"))


@on_one_engine
@pytest.mark.long
def test_what_a_restore_replaced_is_kept_until_it_is_undone(kept: Cli) -> None:
    kept.ok("snapshot", "save", "plain")
    psql(kept, _NEVER_COMES_BACK)
    count = kept.visit()
    kept.ok("snapshot", "restore", "plain", "--yes")
    kept.ok("undo", "--yes")
    assert psql(kept, "SELECT amount FROM amounts") == "1"
    assert kept.visit() == count + 1
    kept.ok("undo", "--yes")
    assert psql(kept, "SELECT to_regclass('amounts')") == ""
    kept.ok("undo", "--yes")
    kept.ok("rotate", "db")
    psql(kept, "DROP TABLE amounts, limits; DROP FUNCTION most")
    kept.ok("undo", "--yes")
    assert kept.data("status")["state"] == "up", "with the password of now, and not with that of then"
    kept.ok("snapshot", "delete", "plain", "--yes")


_LARGE_ROW = """
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 100) AS i;
CREATE TABLE large AS SELECT string_agg(md5(i::text), '') AS text FROM generate_series(1, 50 * 32768) AS i;
"""


@pytest.mark.long
@pytest.mark.parametrize("engine", [COMPOSE], indirect=True, scope="module")
def test_a_row_of_50_mb_is_saved_without_ending_the_server(kept: Cli) -> None:
    psql(kept, _LARGE_ROW)
    kept.ok("snapshot", "save", "large")
    assert psql(kept, "SELECT count(*) FROM unlogged") == "100", "it is empty after a crash"
    psql(kept, "DROP TABLE unlogged, large")
    kept.ok("snapshot", "delete", "large", "--yes")


_OLD_CHECKSUM = """
SELECT json_build_array(count(*), coalesce(sum(hashtextextended("the row"::text COLLATE "C", 0)), 0)::text)
FROM ONLY {table} AS "the row"
"""


@pytest.mark.long
@on_one_engine
def test_a_snapshot_of_an_older_stackctl_is_restored_and_compared(kept: Cli, tmp_path: Path) -> None:
    path, tables = tmp_path / "saved.zip", ("public.parts_0", "public.parts_1", "public.visit_counter")
    hashed = _TRAPS.replace("hashed", "parts").partition("CREATE FUNCTION")[0]
    psql(kept, hashed)
    count = kept.visit()
    kept.ok("snapshot", "save", "--output", str(path))

    def of_an_older_stackctl(manifest: dict[str, Any]) -> None:
        manifest |= older(manifest, 1)
        for database in manifest["components"]["db"]["databases"]:
            known = [each for each in database["tables"] if each["name"].startswith("stackctl.")]
            if database["name"] == "student_notes":
                others = tuple(each["name"] for each in known)
                found = {each: json.loads(old_checksum(kept, each)) for each in (*tables, *others)}
                database["tables"] = [
                    {"name": name, "rows": rows, "checksum": checksum} for name, (rows, checksum) in found.items()
                ]

    rewrite(path, of_an_older_stackctl)
    kept.ok("snapshot", "restore", "--yes", "--no-snapshot", "--input", str(path))
    assert psql(kept, "SELECT count(*) FROM parts") == "6"
    assert kept.visit() == count + 1
    psql(kept, "DROP TABLE parts; DROP TYPE letter")


def old_checksum(cli: Cli, table: str) -> str:
    return psql(cli, "SET timezone = 'UTC'; SET search_path = '';" + _OLD_CHECKSUM.format(table=table))


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of a snapshot."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts.pop("manifest.json"))
    change(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | {"manifest.json": json.dumps(manifest).encode()}).items():
            archive.writestr(name, data)
