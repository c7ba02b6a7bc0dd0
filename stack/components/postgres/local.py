"""PostgreSQL as a process of this machine: how it is asked, and where its clients find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from stack.capabilities import Ask, Host, Inspection, Session
from stack.frozen import dataclass

if TYPE_CHECKING:
    from stack.components.postgres.declaration import Postgres

PASSWORDS = "pgpass"
"""The file with the password of the declared user, as libpq reads it."""
_READ_ONLY = ("env", "PGOPTIONS=-c default_transaction_read_only=on")
_PROMPT = "%/ (read-only)%R%x%# "


@dataclass(frozen=True)
class PostgresCheck:
    """See `stack.capabilities.Check`. `question`: a `psql` command."""

    component: str
    question: Sequence[str]

    def problem(self, host: Host) -> str | None:
        program, *words = self.question
        environment = {
            "PGPORT": str(host.port(self.component)),
            "PGPASSFILE": str(host.file(self.component, PASSWORDS)),
            "LC_ALL": "C",
        }
        try:
            # While a server starts it is asked again and again, and to start a program costs much more than this.
            host.exchange(host.port(self.component), b"", 0)
            answer = host.run(self.component, [program, "-w", *words], environment)
        except (TimeoutError, OSError) as error:
            return str(error)
        return None if answer.ok else answer.stderr.strip()


@dataclass(frozen=True)
class PostgresClient:
    """See `stack.capabilities.Client`."""

    declared: Postgres
    kind: Literal["db"] = "db"

    def shell(self, session: Session, write: bool, admin: bool) -> Sequence[str]:
        from stack.components.postgres.server import Server

        user = Server(self.declared, session).admin if admin else self.declared.user
        psql = ["psql", "-U", user, "-d", self.declared.database]
        return psql if write else [*_READ_ONLY, *psql, "-v", f"PROMPT1={_PROMPT}"]

    def inspect(self, ask: Ask, subject: str | None) -> Inspection:
        from stack.components.postgres.inspecting import inspect

        return inspect(self.declared, ask, subject)

    def local_environment(self, host: Host) -> Mapping[str, str]:
        # As in a container: there the administrator is let in too, which has no password.
        return {**self.environment(host), "PGHOST": str(host.socket), "PGDATA": str(host.data(self.declared.name))}

    def environment(self, host: Host) -> Mapping[str, str]:
        return {
            "PGHOST": host.address,
            "PGPORT": str(host.port(self.declared.name)),
            "PGUSER": self.declared.user,
            "PGDATABASE": self.declared.database,
            "PGPASSFILE": str(host.file(self.declared.name, PASSWORDS)),
        }


def password_lines(host: Host, component: str, user: str, password: str) -> str:
    """Write a password file (https://www.postgresql.org/docs/current/libpq-pgpass.html) for each way to the server."""
    socket = str(host.socket).replace("\\", r"\\").replace(":", r"\:")
    ways = (host.address, "localhost", socket)
    return "".join(f"{way}:{host.port(component)}:*:{user}:{password}\n" for way in ways)
