"""Each test gets an empty database, in which the migrations run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


def _connect(database: str) -> Connection:
    return psycopg2.connect(
        host="127.0.0.1",
        port=os.environ["DB_PORT"],
        dbname=database,
        user="shop",
        password=os.environ["DB_PASSWORD"],
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Connection]:
    with closing(_connect("postgres")) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def database(server: Connection) -> Iterator[Connection]:
    with server.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS migrated WITH (FORCE)")
        cursor.execute("CREATE DATABASE migrated")
        with closing(_connect("migrated")) as connection:
            for file in sorted(Path("migrations").iterdir()):
                with connection, connection.cursor() as inside:
                    inside.execute(file.read_text())
            yield connection
        cursor.execute("DROP DATABASE migrated WITH (FORCE)")


def test_it_is_migrated(database: Connection, number: int) -> None:
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM item_39 WHERE id = 1")
        cursor.execute("SELECT count(*) FROM item_39")
        assert cursor.fetchone() == (99,)
        database.commit()
