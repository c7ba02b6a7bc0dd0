"""Prepare a database for what uses it: its user, its extensions, its migrations; see `stack.capabilities.Schema`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stack.capabilities import Session
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.migrating import migrate
from stack.components.postgres.ownership import make_extension, separate
from stack.components.postgres.server import Server
from stack.migrations import Migration
from stack.progress import Progress


@dataclass(frozen=True)
class PostgresSchema:
    database: Postgres

    @property
    def migrations(self) -> str | None:
        return self.database.migrations

    @property
    def extensions(self) -> tuple[str, ...]:
        return tuple(self.database.extensions)

    @property
    def user(self) -> str:
        return self.database.user

    def separate(self, session: Session, major: int) -> str | None:
        if not separate(Server(self.database, session), major):
            return None
        return f"{self.database.user} was a superuser, and is the owner of {self.database.database} alone now"

    def make_extensions(self, session: Session, major: int, names: Sequence[str], progress: Progress) -> None:
        for each in names:
            progress.step(f"{self.database.name}: making the extension {each}")
            make_extension(Server(self.database, session), major, each)

    def migrate(
        self, session: Session, migrations: tuple[Migration, ...], progress: Progress
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        return migrate(Server(self.database, session), migrations, progress)
