"""PostgreSQL as a process of this machine: how it is asked, and where its clients find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stack.capabilities import Host

PASSWORDS = "pgpass"
"""The file with the password of the declared user, as libpq reads it."""


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
            answer = host.run(self.component, [program, "-w", *words], environment)
        except (TimeoutError, OSError) as error:
            return str(error)
        return None if answer.ok else answer.stderr.strip()


@dataclass(frozen=True)
class PostgresClient:
    """See `stack.capabilities.Client`."""

    component: str
    user: str
    database: str

    def local_environment(self, host: Host) -> Mapping[str, str]:
        # As in a container: there the administrator is let in too, which has no password.
        return {**self.environment(host), "PGHOST": str(host.socket), "PGDATA": str(host.data(self.component))}

    def environment(self, host: Host) -> Mapping[str, str]:
        return {
            "PGHOST": host.address,
            "PGPORT": str(host.port(self.component)),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGPASSFILE": str(host.file(self.component, PASSWORDS)),
        }


def password_lines(host: Host, component: str, user: str, password: str) -> str:
    """Write a password file (https://www.postgresql.org/docs/current/libpq-pgpass.html) for each way to the server."""
    socket = str(host.socket).replace("\\", r"\\").replace(":", r"\:")
    ways = (host.address, "localhost", socket)
    return "".join(f"{way}:{host.port(component)}:*:{user}:{password}\n" for way in ways)
