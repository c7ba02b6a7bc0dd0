"""PostgreSQL: all that is special about it."""

from stack.components.postgres.declaration import OLDEST, PORT, VERSION, Postgres, Rows, read_rows

__all__ = ["OLDEST", "PORT", "VERSION", "Postgres", "Rows", "read_rows"]
