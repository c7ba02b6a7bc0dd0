"""PostgreSQL: all that is special about it."""

from stack.components.postgres.declaration import OLDEST, PORT, VERSION, Postgres
from stack.components.postgres.fields import ADMIN
from stack.components.postgres.rows import Rows, read_rows

__all__ = ["ADMIN", "OLDEST", "PORT", "VERSION", "Postgres", "Rows", "read_rows"]
