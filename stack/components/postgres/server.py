"""A PostgreSQL that runs, and the commands that work on its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from stack.capabilities import Completed, Pipe, Session
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.fields import ADMIN
from stack.components.postgres.image import in_image
from stack.frozen import dataclass

# What a role or a database may be set to, and would end what takes long, or refuse what changes anything.
_NEUTRAL = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
}
# The number of the superuser that `initdb` makes.
_FIRST_ROLE = "SELECT rolname FROM pg_catalog.pg_roles WHERE oid OPERATOR(pg_catalog.=) 10::pg_catalog.oid"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that runs, of an instance or offline on its volume: `psql` and `pg_dump` are run beside it.

    A command connects as `database.user` for what the user's files and apps do, and as `admin` for stackctl's own work.
    `new`: its data were made just now, and so with the administrator of stackctl.
    """

    database: Postgres
    session: Session
    new: bool = False

    @cached_property
    def admin(self) -> str:
        """The role for stackctl's own work: that which the cluster was made with, until `up` renames it the user."""
        if self.new:
            return ADMIN
        words = ["psql", "-X", "-q", "-A", "-t", "-w", "-d", conninfo(self.database.database, self.database.user)]
        answer = self.run([*words, "-c", _FIRST_ROLE])
        return answer.stdout.strip() if answer.ok else ADMIN

    @property
    def memory(self) -> int | None:
        """The bytes beyond which the engine ends it, if there is such a limit."""
        return self.session.memory

    def run(self, words: Sequence[str], limit: float | None = 30) -> Completed:
        """Raises `no-answer` after `limit` seconds."""
        return self.session.run(self._found(words), limit)

    def pipe(self, words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        """Start a command, and feed it or take from it."""
        return self.session.pipe(self._found(words), feed=feed, take=take)

    def _found(self, words: Sequence[str]) -> Sequence[str]:
        return in_image(words) if self.session.target == "container" else words


def conninfo(database: str, user: str, settings: Mapping[str, str] | None = None) -> str:
    """Tell libpq where to connect, and that no setting of a role ends or refuses the work; a name may hold
    anything.

    `settings`: others for the connection, plain words.
    """
    wanted = {**_NEUTRAL, **(settings or {})}
    options = " ".join(f"-c {name}={value}" for name, value in wanted.items())
    parts = (("dbname", database), ("user", user), ("options", options))
    return " ".join(f"{key}={_quoted(value)}" for key, value in parts)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
