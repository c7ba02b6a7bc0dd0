"""Each test gets a database of pytest-postgresql, a copy of the template that it loads once, on the same server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytest_postgresql import factories  # type: ignore[import-not-found]

server = factories.postgresql_noproc(
    host="127.0.0.1",
    port=os.environ["DB_PORT"],
    user="shop",
    password=os.environ["DB_PASSWORD"],
    dbname="peer",
    load=[*sorted(Path("migrations").resolve().iterdir())],
)
database = factories.postgresql("server")


def test_it_is_migrated(database: Any, number: int) -> None:
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM item_39 WHERE id = 1")
        cursor.execute("SELECT count(*) FROM item_39")
        assert cursor.fetchone() == (99,)
        database.commit()
