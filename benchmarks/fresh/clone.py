"""Each test gets a database of the plugin of stackctl."""

from __future__ import annotations

from contextlib import closing

from stack.testing.databases import Database


def test_it_is_migrated(stack_database: Database, number: int) -> None:
    with closing(stack_database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM item_39 WHERE id = 1")
        cursor.execute("SELECT count(*) FROM item_39")
        assert cursor.fetchone() == (99,)
        connection.commit()
