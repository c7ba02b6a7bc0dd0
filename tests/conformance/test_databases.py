"""Databases as a project of your own declares them, on both engines: published, with settings, and several of them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import redis

from tests.cli import Cli
from tests.conformance.engines import on_docker_at_length
from tests.ports import outer_address, own_port
from tests.project import make_project
from tests.servers import CONTRIB

STACK = """\
from stack import Postgres, Redis, Stack

db = Postgres(
    "db", user="shop", database="shop", publish=True, public=True,
    settings={"work_mem": "32MB", "max_connections": 30},
    databases=["analytics"], init="init",
)
# The embedded engine has the first one without an image, and the others with the extra `contrib`.
places = Postgres(
    "places", image="pgvector/pgvector:pg18", extensions=["vector", "pg_trgm", "hstore", "citext", "unaccent"]
)
sessions = Redis("sessions", publish=True)
stack = Stack("shop", [db, places, sessions])
"""


class Shop(Cli):
    """The command line for an instance of that stack.

    `lacking`: the error of `up` without the extra, if it needs one. `first`: that of the next. `second`: the one after.
    """

    lacking: dict[str, str] | None = None
    first: dict[str, str]
    second: dict[str, Any]

    def declare(self, old: str = "", new: str = "") -> None:
        assert self.file is not None
        assert old in STACK
        self.file.write_text(STACK.replace(old, new))

    def ask(self, sql: str, database: str = "shop") -> str:
        return self.ok("exec", "db", "--", "psql", "-U", "shop", "-d", database, "-qAtc", sql).stdout.strip()

    def analyse(self, sql: str) -> str:
        return self.ask(sql, "analytics")

    def write(self, name: str, sql: str) -> None:
        (self.folder / "init" / name).write_bytes(gzip.compress(sql.encode()) if name.endswith(".gz") else sql.encode())

    @property
    def redis_url(self) -> str:
        password = (self.state / "secrets" / "sessions_password").read_text()
        return f"redis://:{password}@127.0.0.1:{self.port + 1}/0"

    def connect(self) -> psycopg2.extensions.connection:
        """As a program of this machine does."""
        password = (self.state / "secrets" / "db_password").read_text()
        return psycopg2.connect(self.data("status")["urls"]["db"], password=password)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    folder = make_project(tmp_path_factory, "shop", {})
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    cli.declare()
    (folder / "init").mkdir()
    cli.write("01_tables.sql", "CREATE TABLE goods (id int PRIMARY KEY);\n")
    cli.write("02_rows.sql.gz", "INSERT INTO goods VALUES (1);\n\nINSERT INTO god VALUES (2);\n")
    try:
        ports = ("--port", f"db={cli.port}", "--port", f"sessions={cli.port + 1}")
        if engine == "embedded":
            cli.lacking = cli.fails("up", *ports, code="extension-missing")
            assert {each["state"] for each in cli.data("status")["components"].values()} == {"absent"}
            cli.environment = {"PYTHONPATH": str(CONTRIB)}
        cli.first = cli.fails("up", *ports, code="init-failed")
        cli.write("02_rows.sql.gz", "INSERT INTO goods VALUES (1), (2);\n")
        cli.second = cli.data("up")
        yield cli
    finally:
        cli.reset()


@pytest.mark.long
@on_docker_at_length
def test_a_new_database_is_made_with_the_files_of_a_folder(shop: Shop) -> None:
    assert '02_rows.sql.gz: line 3: relation "god" does not exist; nothing of it was kept' in shop.first["message"]
    assert shop.second["plan"]["initial_files"] == {"db": ["01_tables.sql", "02_rows.sql.gz"]}
    assert shop.ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM goods") == "1,2"
    assert shop.ask("SELECT tableowner FROM pg_tables WHERE tablename = 'goods'") == "shop"
    shop.write("03_late.sql", "INSERT INTO goods VALUES (3);")
    plan = shop.data("plan")
    assert plan["changes"] is False, plan


def test_extensions_of_contrib_serve_on_both_engines(shop: Shop) -> None:
    if shop.lacking is not None:
        assert "places: this PostgreSQL has no extension pg_trgm; it has plpgsql, vector" in shop.lacking["message"]
        assert "pip install 'stackctl[contrib]'" in shop.lacking["hint"]
    asked = "SELECT similarity('word', 'words') > 0.5, 'a=>1'::hstore -> 'a', 'A'::citext = 'a', unaccent('é')"
    assert shop.data("inspect", "places", "--query", asked)["rows"] == [["t", "1", "t", "e"]]


def test_data_outlives_a_change_of_the_package_that_serves_it(shop: Shop) -> None:
    with_contrib, extensions = dict(shop.environment), ', "pg_trgm", "hstore", "citext", "unaccent"'
    shop.ask("CREATE TABLE words (word text PRIMARY KEY); INSERT INTO words VALUES ('ä'), ('b')")
    ordered = "SELECT string_agg(word, ' ' ORDER BY word) FROM words WHERE word > 'a'"
    before = shop.ask(ordered)
    assert "ä" in before
    shop.declare(extensions, "")
    shop.environment = {}
    shop.data("up")
    assert shop.ask(ordered) == before
    assert shop.data("inspect", "places", "--query", "SELECT '[1,2]'::vector AS at")["rows"] == [["[1,2]"]]
    shop.declare()
    shop.environment = with_contrib
    shop.data("up")
    assert shop.ask(ordered) == before


@on_docker_at_length
def test_further_databases_are_the_users_and_in_snapshots(shop: Shop) -> None:
    owners = "SELECT string_agg(datname || ' ' || datdba::regrole, ',' ORDER BY datname) FROM pg_database WHERE datname"
    assert shop.ask(f"{owners} IN ('shop', 'analytics')") == "analytics shop,shop shop"
    shop.analyse("CREATE TABLE seen (n int); INSERT INTO seen VALUES (7)")
    shop.ok("snapshot", "save", "before")
    shop.declare('["analytics"]', '["analytics", "archive"]')
    assert "+ data: db gets the databases archive" in shop.ok("plan").stdout
    assert shop.data("up")["plan"]["databases"] == {"db": ["archive"]}
    shop.analyse("DELETE FROM seen")
    shop.ok("snapshot", "restore", "before", "--yes")
    assert shop.analyse("SELECT n FROM seen") == "7"
    assert shop.ask(f"{owners} = 'archive'") == "archive shop", "what the snapshot does not have is made again"
    assert shop.ask("SELECT count(*) FROM goods") == "2"
    shop.declare()
    shop.data("up")


def test_a_published_database_lets_this_machine_in(shop: Shop) -> None:
    with closing(shop.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == ("32MB",)
    assert f"db: postgresql://shop@localhost:{shop.port}/shop  (password in " in shop.ok("status").stdout
    assert shop.ok("ls").stdout.count(f"postgresql://shop@localhost:{shop.port}/shop") == 1
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(f"postgresql://shop:wrong@127.0.0.1:{shop.port}/shop")


def test_a_public_database_lets_other_machines_in_with_its_password(shop: Shop) -> None:
    password = (shop.state / "secrets" / "db_password").read_text()
    where: dict[str, Any] = {"host": outer_address(), "port": shop.port, "user": "shop", "dbname": "shop"}
    with closing(psycopg2.connect(**where, password=password)) as connection:
        assert connection.server_version >= 180000
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**where, password="wrong")
    with pytest.raises(redis.ConnectionError):
        redis.Redis(outer_address(), shop.port + 1).ping()


def test_a_published_redis_asks_this_machine_for_its_password(shop: Shop) -> None:
    assert shop.ok("exec", "sessions", "--", "redis-cli", "SET", "ada", "1").stdout == "OK\n"
    with closing(redis.Redis.from_url(shop.redis_url)) as inside:
        assert inside.get("ada") == b"1"
    with (
        closing(redis.Redis(port=shop.port + 1)) as outside,
        pytest.raises(redis.RedisError, match=r"NOAUTH|Authentication|authenticated"),
    ):
        outside.get("ada")
    assert f"sessions: redis://localhost:{shop.port + 1}/0  (password in " in shop.ok("status").stdout


def test_each_database_and_redis_is_reached_by_its_name(shop: Shop) -> None:
    rows = shop.data("inspect", "places", "--query", "SELECT '[1,2]'::vector AS at")["rows"]
    assert rows == [["[1,2]"]]
    assert shop.data("inspect", "sessions", "--key", "nobody")["exists"] is False
    assert shop.data("inspect", "db", "--query", "SELECT current_user")["rows"] == [["shop"]]
    assert shop.ok("shell", "places", stdin="SELECT current_database()").stdout.count("app") == 1
    assert shop.ok("shell", "cache", stdin="PING").stdout == "PONG\n"


def test_a_changed_setting_is_planned_by_name_and_keeps_the_data(shop: Shop) -> None:
    shop.ask("CREATE TABLE kept (n int)")
    shop.declare('"work_mem": "32MB"', '"work_mem": "64MB"')
    assert "~ settings work_mem 32MB → 64MB" in shop.ok("plan").stdout
    shop.data("up")
    assert shop.ask("SELECT current_setting('work_mem'), current_setting('max_connections'), count(*) FROM kept") == (
        "64MB|30|0"
    )


@on_docker_at_length
def test_a_setting_that_the_server_does_not_take_is_named(shop: Shop) -> None:
    shop.declare('"work_mem": "32MB"', '"wrk_mem": "32MB"')
    error = shop.fails("up", code="setting-refused")
    assert "wrk_mem" in error["message"]
    assert "`wrk_mem` in `settings` of db" in error["hint"]
    shop.declare()
    shop.data("up")
    assert shop.ask("SHOW work_mem") == "32MB"
