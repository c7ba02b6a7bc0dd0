"""A PostgreSQL and a Redis that stackctl does not run, on both engines: the bundled service on top of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import leaks
from tests.cli import ROOT, Cli
from tests.ports import own_port
from tests.project import make_project
from tests.servers import MISSING, PASSWORD, PostgresServer, RedisServer, server_folder

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

# What is not in any URL as it is.
OWNER_PASSWORD = "p@ss/w?#%41 é"
STACK = f"""\
from stack import External, Parameter, Stack, WebApp

db = External("db", url=Parameter("DATABASE_URL", secret=True))
cache = External("cache", url=Parameter("CACHE_URL", secret=True))
web = WebApp(
    "web", source={str(ROOT / "service")!r}, publish=23911, command=["python", "serve.py"], uses=[db, cache],
    environment={{"SAME": db.url, "ALSO": f"postgres://{{db.user}}:{{db.password}}@{{db.host}}:{{db.port}}/{{db.database}}"}},
)
stack = Stack("shop", [web])
"""


def address() -> str:
    """Return an address of this machine that containers reach too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        # Nothing is sent: it is only asked which address would be used.
        asked.connect(("10.255.255.255", 1))
        return str(asked.getsockname()[0])


class Postgres(PostgresServer):
    """It lets in the clients of other addresses too."""

    host = address()

    def initialize(self) -> None:
        super().initialize()
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")


class Redis(RedisServer):
    host = address()


@dataclass(frozen=True)
class Servers:
    """Both, with an owner of the database that has a password of its own."""

    db: Postgres
    cache: Redis

    @property
    def db_url(self) -> str:
        where = f"{self.db.host}:{self.db.port}/{self.db.database}"
        return f"postgresql+psycopg://shop:{quote(OWNER_PASSWORD, safe='')}@{where}?sslmode=disable&pgbouncer=true"

    @property
    def cache_url(self) -> str:
        return f"redis://:{PASSWORD}@{self.cache.host}:{self.cache.port}"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as running:
        db, cache = Postgres(running.enter_context(server_folder())), Redis(running.enter_context(server_folder()))
        db.initialize()
        running.callback(db.kill)
        db.start()
        running.callback(cache.kill)
        cache.start()
        db.query(f"CREATE ROLE shop LOGIN PASSWORD '{OWNER_PASSWORD}'", database="postgres")
        db.query(f"CREATE DATABASE {db.database} OWNER shop", database="postgres")
        (schema,) = (ROOT / "service" / "migrations").glob("*.sql")
        db.query(f"SET ROLE shop; {schema.read_text()}")
        yield Servers(db, cache)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str, servers: Servers) -> Iterator[Cli]:
    variables = f"DATABASE_URL='{servers.db_url}'\nCACHE_URL={servers.cache_url}\n"
    folder = make_project(tmp_path_factory, "shop", {"shop.py": STACK, ".env": variables})
    servers.db.query("TRUNCATE visit_counter")
    servers.cache.client.flushall()
    cli = Cli(folder, file=folder / "shop.py", engine=engine, port=own_port())
    try:
        cli.up()
        yield cli
    finally:
        cli.reset()


def test_an_app_works_with_them_as_with_those_of_the_stack(shop: Cli, servers: Servers) -> None:
    assert shop.visit() == 1
    assert shop.visit() == 2
    assert servers.db.query("SELECT visits FROM visit_counter") == [(2,)]
    assert servers.cache.client.get("visit_counter:homepage") == "2"
    shown = shop.ok("exec", "web", "--", "env").stdout.splitlines()
    assert f"SAME={servers.db_url}" in shown
    assert f"ALSO={servers.db_url.partition('?')[0].replace('postgresql+psycopg', 'postgres')}" in shown
    assert not shop.up()["changed"]


def test_they_are_shown_where_they_are(shop: Cli, servers: Servers) -> None:
    addresses = {"db": f"{servers.db.host}:{servers.db.port}", "cache": f"{servers.cache.host}:{servers.cache.port}"}
    kinds = {"db": "PostgreSQL", "cache": "Redis"}
    status = shop.data("status")
    assert status["state"] == "up"
    assert status["externals"] == {
        name: {"kind": kind, "address": addresses[name], "problem": None} for name, kind in kinds.items()
    }
    assert shop.data("plan")["externals"] == {
        name: f"external, {kind} at {addresses[name]}" for name, kind in kinds.items()
    }
    variables = shop.data("env", "web")["variables"]
    assert variables["DB_HOST"]["value"] == servers.db.host
    assert variables["DB_HOST"]["origin"] == "from db, DATABASE_URL (.env line 1)"


def test_no_password_stands_in_another_place(shop: Cli, servers: Servers, tmp_path: Path) -> None:
    secrets = [OWNER_PASSWORD, PASSWORD]
    # The server itself is told its password in its command.
    own = f"/proc/{servers.cache.pid}"
    lines = {name: line for name, line in leaks.command_lines().items() if name != own}
    assert leaks.holders(lines, secrets) == []
    assert leaks.holders(leaks.written(shop), secrets) == []
    texts = leaks.bundled(shop, tmp_path) | leaks.printed(shop, "status", "doctor", "env web")
    assert leaks.holders(texts, secrets) == []


def test_one_that_is_gone_is_the_reason(shop: Cli, servers: Servers) -> None:
    servers.db.kill()
    error = shop.fails("up", code="external-unusable")
    assert error["message"].startswith(f"db, PostgreSQL at {servers.db.host}:{servers.db.port}, can't be used: ")
    assert "DATABASE_URL (.env line 1)" in error["hint"]
    status = shop.data("status")
    assert (status["state"], bool(status["externals"]["db"]["problem"])) == ("degraded", True)
    assert "db: " in shop.fails("wait", "--timeout", "1", code="not-ready")["message"]
    servers.db.start()
    assert shop.data("status")["externals"]["db"]["problem"] is None
    assert shop.data("wait")["externals"]["db"]["problem"] is None
    told = [json.loads(line) for line in shop.ok("events", "--until", "ready").stdout.splitlines()]
    assert {each["component"]: each["to"] for each in told} == dict.fromkeys(("web", "db", "cache"), "healthy")


def test_a_changed_password_reaches_the_app_and_a_wrong_one_does_not(shop: Cli, servers: Servers) -> None:
    text = (shop.folder / ".env").read_text()
    (shop.folder / ".env").write_text(text.replace(quote(OWNER_PASSWORD, safe=""), "another"))
    error = shop.fails("up", code="external-unusable")
    assert 'password authentication failed for user "shop"' in error["message"]
    assert shop.visit(), "the app was not touched"
    servers.db.query("ALTER ROLE shop PASSWORD 'another'")
    (action,) = [each for each in shop.data("plan")["actions"] if each["action"] != "keep"]
    assert action["component"] == "web"
    shop.up()
    assert shop.visit()
    servers.db.query(f"ALTER ROLE shop PASSWORD '{OWNER_PASSWORD}'")


def test_a_reset_leaves_their_data(shop: Cli, servers: Servers) -> None:
    (before,) = servers.db.query("SELECT visits FROM visit_counter")
    ended = shop.run("reset", "--yes")
    assert ended.exit_code == 0, ended
    where = f"{servers.db.host}:{servers.db.port}"
    assert f"db is external, PostgreSQL at {where}: its data stays as it is." in " ".join(ended.stderr.split())
    assert servers.db.query("SELECT visits FROM visit_counter") == [before]
    assert servers.cache.client.exists("visit_counter:homepage")
