"""Databases as a project of your own declares them, on both engines: published, with settings, and several of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.cli import Cli
from tests.ports import own_port

STACK = """\
from stack import Postgres, Stack

db = Postgres(
    "db", user="shop", database="shop", publish=True,
    settings={"work_mem": "32MB", "max_connections": 30},
)
stack = Stack("shop", [db])
"""


class Shop(Cli):
    """The command line for an instance of that stack."""

    def declare(self, old: str = "", new: str = "") -> None:
        assert self.file is not None
        assert old in STACK
        self.file.write_text(STACK.replace(old, new))

    def ask(self, sql: str, *words: str) -> str:
        return self.ok("exec", "db", "--", "psql", "-U", "shop", "-d", "shop", "-Atc", sql, *words).stdout.strip()

    def connect(self) -> psycopg2.extensions.connection:
        """As a program of this machine does."""
        password = (self.state / "secrets" / "db_password").read_text()
        return psycopg2.connect(self.data("status")["urls"]["db"], password=password)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("shop")
    folder.chmod(0o755)
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    cli.declare()
    try:
        cli.data("up", "--port", f"db={cli.port}")
        yield cli
    finally:
        cli.reset()


def test_a_published_database_lets_this_machine_in(shop: Shop) -> None:
    with closing(shop.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == ("32MB",)
    assert f"db: postgresql://shop@localhost:{shop.port}/shop  (password in " in shop.ok("status").stdout
    assert shop.ok("ls").stdout.count(f"postgresql://shop@localhost:{shop.port}/shop") == 1
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(f"postgresql://shop:wrong@127.0.0.1:{shop.port}/shop")


def test_a_changed_setting_is_planned_by_name_and_keeps_the_data(shop: Shop) -> None:
    shop.ask("CREATE TABLE kept (n int)")
    shop.declare('"work_mem": "32MB"', '"work_mem": "64MB"')
    assert "~ settings work_mem 32MB → 64MB" in shop.ok("plan").stdout
    shop.data("up")
    assert shop.ask("SELECT current_setting('work_mem'), current_setting('max_connections'), count(*) FROM kept") == (
        "64MB|30|0"
    )


def test_a_setting_that_the_server_does_not_take_is_named(shop: Shop) -> None:
    shop.declare('"work_mem": "32MB"', '"wrk_mem": "32MB"')
    error = shop.fails("up", code="setting-refused")
    assert "wrk_mem" in error["message"]
    assert "`wrk_mem` in `settings` of db" in error["hint"]
    shop.declare()
    shop.data("up")
    assert shop.ask("SHOW work_mem") == "32MB"
