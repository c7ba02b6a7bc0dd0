"""The declared user owns its database and no more; in data of an older stackctl too, after the next `up`."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli
from tests.conformance.engines import on_docker_at_length, on_one_engine
from tests.conformance.test_fidelity import rewrite
from tests.manifests import older

Make = Callable[..., Cli]

STACK = """\
from stack import Postgres, Stack

stack = Stack("notes", [Postgres("db", user="student", database="student_notes"{fields})])
"""
# As `initdb` and the image made it before: the declared user is the first role, and has the password.
_AS_BEFORE = """
SELECT rolpassword AS password FROM pg_authid WHERE rolname = 'student' \\gset
CREATE ROLE between SUPERUSER;
REASSIGN OWNED BY student TO stackctl_admin;
DROP OWNED BY student;
DROP ROLE student;
SET SESSION AUTHORIZATION between;
ALTER ROLE stackctl_admin RENAME TO student;
RESET SESSION AUTHORIZATION;
DROP ROLE between;
ALTER ROLE student PASSWORD :'password';
"""
# What a user may have made as the superuser that it was.
_OBJECTS = """
CREATE ROLE reader LOGIN PASSWORD 'of the reader'; CREATE ROLE boss SUPERUSER; CREATE ROLE team; CREATE ROLE guest;
GRANT team TO student WITH ADMIN OPTION; GRANT student TO reader;
ALTER ROLE student SET work_mem = '6MB';
ALTER ROLE student IN DATABASE student_notes SET "my.list" = 'a, "b c"';
COMMENT ON ROLE student IS 'it''s ours';
CREATE DATABASE "the other"; CREATE DATABASE closed ALLOW_CONNECTIONS false;
CREATE SCHEMA own;
CREATE TABLE own.kept (id serial PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, word text);
INSERT INTO own.kept (word) VALUES ('one'), ('two');
CREATE TABLE own.parts (id int) PARTITION BY RANGE (id);
CREATE TABLE own.part PARTITION OF own.parts DEFAULT;
CREATE SEQUENCE own.free;
CREATE VIEW own.seen AS SELECT word FROM own.kept;
CREATE MATERIALIZED VIEW own.counted AS SELECT count(*) FROM own.kept;
CREATE STATISTICS own.numbers ON id, number FROM own.kept;
CREATE TYPE "a span" AS RANGE (subtype = float8);
CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION plus(a int, b int DEFAULT 1) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b';
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
CREATE AGGREGATE total(int) (sfunc = plus, stype = int);
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
CREATE OPERATOR FAMILY ours USING btree;
CREATE COLLATION plain FROM "C";
CREATE CONVERSION letters FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION texts (COPY = simple);
SELECT lo_from_bytea(4242, 'large');
CREATE PUBLICATION few FOR TABLE own.kept; CREATE PUBLICATION everything FOR ALL TABLES;
CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;
CREATE USER MAPPING FOR student SERVER away;
CREATE FUNCTION notice() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION notice();
GRANT USAGE ON SCHEMA own TO reader; GRANT SELECT ON own.kept TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA own GRANT USAGE ON SEQUENCES TO reader WITH GRANT OPTION;
CREATE TABLE of_boss (a int, b int); ALTER TABLE of_boss OWNER TO boss;
GRANT SELECT (a), INSERT ON of_boss TO student WITH GRANT OPTION;
CREATE POLICY seen ON of_boss TO student, guest USING (true);
\\c "the other"
CREATE TABLE there AS SELECT 7 AS seven;
"""
# What is the administrator's and no part of PostgreSQL, but for what a superuser has to own.
_LEFT = """
SELECT string_agg(description, ', ') FROM (
    SELECT pg_describe_object(classid, objid, 0) AS description FROM (
        SELECT 'pg_class'::regclass AS classid, oid AS objid, relowner AS owner FROM pg_class
        UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
        UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
        UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
        UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily
        UNION ALL SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
        UNION ALL SELECT 'pg_conversion'::regclass, oid, conowner FROM pg_conversion
        UNION ALL SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
        UNION ALL SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication WHERE NOT puballtables
        UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
        UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
        UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
        UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
        UNION ALL SELECT 'pg_default_acl'::regclass, oid, defaclrole FROM pg_default_acl
        UNION ALL SELECT 'pg_user_mapping'::regclass, oid, umuser FROM pg_user_mapping
        UNION ALL SELECT 'pg_database'::regclass, oid, datdba FROM pg_database
    ) AS owned WHERE owner = 10 AND (objid >= 16384 OR classid = 'pg_largeobject'::regclass)
) AS left_over
"""
_PRIVILEGES = """
SELECT json_build_object(
    'attributes', (SELECT to_jsonb(r) - 'oid' - 'rolname' - 'rolpassword' - 'rolconfig' FROM pg_roles AS r
        WHERE rolname = 'student'),
    'comment', (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'student'),
    'settings', (SELECT json_agg(setconfig ORDER BY setdatabase) FROM pg_db_role_setting
        WHERE setrole = 'student'::regrole),
    'members', (SELECT json_agg(format('%s in %s %s', member::regrole, roleid::regrole, admin_option)
        ORDER BY roleid::regrole::text) FROM pg_auth_members WHERE roleid::regrole::text IN ('team', 'student')
            AND member::regrole::text <> 'stackctl_admin'),
    'table', (SELECT json_agg(acl ORDER BY acl::text)
        FROM (SELECT unnest(relacl) AS acl FROM pg_class WHERE oid = 'own.kept'::regclass) AS acls),
    'column', (SELECT json_agg(format('%s %s', privilege_type, is_grantable)) FROM pg_attribute, aclexplode(attacl)
        WHERE attrelid = 'of_boss'::regclass AND attname = 'a' AND grantee = 'student'::regrole),
    'defaults', (SELECT json_agg(line ORDER BY line) FROM (SELECT format('%s %s %s', defaclnamespace::regnamespace,
        defaclobjtype, unnest(defaclacl)) AS line FROM pg_default_acl) AS lines),
    'policy', (SELECT roles FROM pg_policies),
    'superusers', (SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles WHERE rolsuper),
    'rows', (SELECT json_agg(format('%s %s %s', id, number, word) ORDER BY id) FROM own.kept),
    'large', (SELECT convert_from(lo_get(4242), 'UTF8'))
)
"""


def psql(cli: Cli, script: str, admin: bool = False, database: str = "student_notes") -> str:
    """What a script writes, as the declared user or as the administrator."""
    quiet = f'\\set QUIET on\n\\set ON_ERROR_STOP on\n\\t on\n\\a\n\\c "{database}"\n'
    role = ("--admin",) if admin else ()
    return cli.ok("shell", "db", "--write", *role, stdin=quiet + script).stdout.strip()


def refused(cli: Cli, statement: str) -> str:
    words = ("exec", "db", "--", "psql", "-XAtq", "-U", "student", "-d", "student_notes", "-c", statement)
    result = cli.run(*words)
    assert result.exit_code == 1, result
    return result.stderr


def over_tcp(cli: Cli, user: str, password: str) -> str:
    """What a login says over the address that apps connect to; the image trusts its own loopback address."""
    script = (
        'PGPASSWORD=$1 psql -XAtqw -h "$([ "$3" = compose ] && hostname -i || echo 127.0.0.1)" -U "$2" '
        "-d student_notes -c 'SELECT current_user' 2>&1"
    )
    return cli.run("exec", "db", "--", "sh", "-c", script, "sh", password, user, cli.engine).stdout.strip()


def is_refused(cli: Cli) -> None:
    assert "permission denied" in refused(cli, "COPY (SELECT 1) TO PROGRAM 'true'")
    assert "permission denied" in refused(cli, "SELECT pg_read_file('/etc/passwd')")
    assert "permission denied" in refused(cli, "CREATE ROLE other")
    assert "permission denied" in refused(cli, "SET ROLE stackctl_admin")


@pytest.fixture
def notes(new_cli: Make, tmp_path: Path) -> Cli:
    """An instance of a database alone."""
    (tmp_path / "notes.py").write_text(STACK.format(fields=""), encoding="utf-8")
    return new_cli(file=tmp_path / "notes.py")


def make_old(cli: Cli) -> None:
    """Make of an instance one as it was before there was an administrator beside the declared user."""
    psql(cli, _AS_BEFORE, admin=True)
    rules = 'for file in pg_hba.conf pg_ident.conf; do sed -i /stackctl_admin/d "$PGDATA/$file"; done'
    cli.ok("exec", "db", "--", "sh", "-c", rules)
    psql(cli, f"SELECT pg_reload_conf(); {_OBJECTS}")
    applied = cli.state / "applied.json"
    known = json.loads(applied.read_text(encoding="utf-8"))
    known.pop("separated")
    applied.write_text(json.dumps(known), encoding="utf-8")


def test_the_declared_user_owns_its_database_and_runs_no_program(notes: Cli) -> None:
    notes.ok("up")
    is_refused(notes)
    psql(notes, "CREATE SCHEMA mine; CREATE TABLE in_public (a int); CREATE TEMPORARY TABLE t (a int)")
    script = notes.folder / "program.sql"
    script.write_text("COPY (SELECT 1) TO PROGRAM 'true';", encoding="utf-8")
    for command in ("load", "seed"):
        error = notes.fails(command, str(script), code="load-failed")
        assert "permission denied to COPY" in error["message"]
    password = (notes.state / "secrets" / "db_password").read_text(encoding="utf-8")
    assert over_tcp(notes, "student", password) == "student"
    assert "authentication failed" in over_tcp(notes, "stackctl_admin", password)
    notes.ok("rotate", "db")
    new = (notes.state / "secrets" / "db_password").read_text(encoding="utf-8")
    assert over_tcp(notes, "student", new) == "student"
    assert notes.pending() == []


@pytest.mark.long
@on_docker_at_length
def test_up_makes_an_ordinary_user_of_a_superuser(notes: Cli) -> None:
    notes.ok("up")
    make_old(notes)
    before = json.loads(psql(notes, _PRIVILEGES))
    assert before["superusers"] == ["boss", "student"]
    notes.ok("stop")
    plan = notes.data("plan")
    assert plan["superusers"] == {"db": "student"}
    assert plan["changes"] is True
    told = notes.ok("up")
    assert "student was a superuser, and is the owner of student_notes alone now" in told.stdout
    is_refused(notes)
    after = json.loads(psql(notes, _PRIVILEGES))
    for power in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls"):
        assert before["attributes"].pop(power) is True
        assert after["attributes"].pop(power) is False
    assert before.pop("superusers") == ["boss", "student"]
    assert after.pop("superusers") == ["boss", "stackctl_admin"]
    for key in before:
        assert after[key] == before[key], key
    for database in ("student_notes", "the other"):
        assert psql(notes, _LEFT, admin=True, database=database) == ""
    assert psql(notes, "SELECT seven FROM there", database="the other") == "7"
    assert psql(notes, """SELECT "a span"(1, 2); DROP TYPE "a span"; CREATE TABLE own.new (a int)""") == "[1,2)"
    assert psql(notes, "SET ROLE reader; SELECT count(*) FROM own.new", admin=True) == "0"
    assert over_tcp(notes, "reader", "of the reader") == "reader"
    assert notes.pending() == []
    assert "superuser" not in notes.ok("up").stdout
    notes.ok("snapshot", "save", "converted")
    notes.ok("snapshot", "restore", "converted", "--yes")
    is_refused(notes)
    restored = json.loads(psql(notes, _PRIVILEGES))
    assert restored["rows"] == before["rows"]
    assert restored["table"] == before["table"]


@on_docker_at_length
@pytest.mark.long
def test_a_conversion_that_is_killed_is_finished_by_the_next_up(notes: Cli) -> None:
    notes.ok("up")
    make_old(notes)
    notes.ok("stop")
    with notes.start("up") as command:
        assert command.stderr is not None
        for line in command.stderr:
            if "db" in line and "healthy" in line:
                break
        command.send_signal(signal.SIGKILL)
    notes.ok("up")
    is_refused(notes)
    for database in ("student_notes", "the other"):
        assert psql(notes, _LEFT, admin=True, database=database) == ""
    assert psql(notes, "SELECT seven FROM there", database="the other") == "7"
    assert notes.pending() == []


@on_docker_at_length
@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.long
def test_a_snapshot_of_a_superuser_comes_back_to_an_ordinary_user(notes: Cli, moved: bool) -> None:
    notes.ok("up")
    make_old(notes)
    notes.ok("snapshot", "save", "before")
    if moved:
        notes.ok("reset", "--yes", "--no-snapshot")
    notes.ok("snapshot", "restore", "before", "--yes")
    is_refused(notes)
    for database in ("student_notes", "the other"):
        assert psql(notes, _LEFT, admin=True, database=database) == ""
    assert json.loads(psql(notes, _PRIVILEGES))["superusers"] == ["boss", "stackctl_admin"]
    assert psql(notes, """SELECT "a span"(1, 2); DROP TYPE "a span" """) == "[1,2)"
    if not moved:
        notes.ok("undo", "--yes")
        is_refused(notes)
        assert psql(notes, "SELECT count(*) FROM own.kept") == "2"


@on_one_engine
@pytest.mark.long
def test_a_snapshot_of_before_databases_had_owners_comes_back_whole(new_cli: Make, tmp_path: Path) -> None:
    file = tmp_path / "notes.py"
    file.write_text(STACK.format(fields="").replace("student_notes", "postgres"), encoding="utf-8")
    cli, path = new_cli(file=file), tmp_path / "saved.zip"
    cli.ok("up")
    psql(cli, 'CREATE DATABASE "the other";', admin=True, database="postgres")
    psql(cli, "CREATE TABLE there (seven int)", admin=True, database="the other")
    psql(cli, "CREATE TABLE here (eight int)", database="postgres")
    psql(cli, "REASSIGN OWNED BY student TO stackctl_admin", admin=True, database="postgres")
    psql(cli, _AS_BEFORE, admin=True, database="template1")
    cli.ok("snapshot", "save", "--output", str(path))
    rewrite(path, of_the_first_schema)
    cli.ok("reset", "--yes", "--no-snapshot")
    cli.ok("snapshot", "restore", "--input", str(path), "--yes")
    # Checksums of that time are others, but for a table without rows.
    assert psql(cli, "INSERT INTO here VALUES (8) RETURNING eight", database="postgres") == "8"
    assert psql(cli, "INSERT INTO there VALUES (7) RETURNING seven", database="the other") == "7"
    owners = "SELECT datname || ' ' || datdba::regrole FROM pg_database WHERE datallowconn ORDER BY datname"
    assert psql(cli, owners, database="postgres").splitlines() == [
        "postgres student",
        "template1 stackctl_admin",
        "the other student",
    ]
    assert psql(cli, "SELECT rolsuper FROM pg_roles WHERE rolname = 'student'", database="postgres") == "f"


def of_the_first_schema(manifest: dict[str, Any]) -> None:
    manifest |= older(manifest, 1)


@on_docker_at_length
def test_up_makes_declared_extensions_and_names_those_there_are(notes: Cli) -> None:
    assert notes.file is not None
    notes.ok("up")
    available = psql(notes, "SELECT string_agg(name, ' ') FROM pg_available_extensions").split()
    extension = next(each for each in ("pg_trgm", "vector") if each in available)
    notes.file.write_text(STACK.format(fields=f', extensions=["{extension}"]'), encoding="utf-8")
    assert notes.data("plan")["extensions"] == {"db": [extension]}
    assert f"made the extensions {extension}" in notes.ok("up").stdout
    assert psql(notes, f"SELECT extowner::regrole FROM pg_extension WHERE extname = '{extension}'") == "student"
    assert notes.pending() == []
    notes.ok("dump", str(notes.folder / "all.sql"))
    notes.ok("load", "--replace", "--yes", str(notes.folder / "all.sql"))
    assert notes.pending() == []
    notes.file.write_text(STACK.format(fields=', extensions=["no_such"]'), encoding="utf-8")
    error = notes.fails("up", code="extension-missing")
    assert "no extension no_such" in error["message"]
    assert "plpgsql" in error["message"]
