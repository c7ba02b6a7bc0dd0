"""PostgreSQL: all that is special about it."""

from stack.components.postgres.declaration import ADMIN, OLDEST, PORT, VERSION, Postgres, Rows, read_rows

__all__ = ["ADMIN", "OLDEST", "PORT", "VERSION", "Postgres", "Rows", "read_rows"]
