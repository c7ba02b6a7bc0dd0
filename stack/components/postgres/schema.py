"""Prepare a database for what uses it: its user, its extensions, its migrations; see `stack.capabilities.Schema`.

What does that takes a while to import, and every command has this module: those that change a database import it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stack.capabilities import Access, Pending, Session
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.server import Server
from stack.frozen import dataclass
from stack.progress import Progress

if TYPE_CHECKING:
    from stack.initial import InitialFile
    from stack.migrations import Migration
    from stack.results.rehearsals import RehearsedMigration


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
    def databases(self) -> tuple[str, ...]:
        return tuple(self.database.databases)

    @property
    def initial(self) -> str | None:
        return self.database.init

    @property
    def user(self) -> str:
        return self.database.user

    def separate(self, session: Session, major: int) -> str | None:
        from stack.components.postgres.ownership import separate

        if not separate(Server(self.database, session), major):
            return None
        return f"{self.database.user} was a superuser, and is the owner of {self.database.database} alone now"

    def make_databases(self, session: Session, major: int, names: Sequence[str], progress: Progress) -> None:
        from stack.components.postgres.making import make_database, make_extension

        server = Server(self.database, session)
        for each in names:
            progress.step(f"{self.database.name}: making the database {each}")
            make_database(server, major, each)
            for extension in self.extensions:
                make_extension(server, major, extension, each)

    def make_extensions(self, session: Session, major: int, names: Sequence[str], progress: Progress) -> None:
        from stack.components.postgres.making import make_extension

        for each in names:
            progress.step(f"{self.database.name}: making the extension {each}")
            for database in (self.database.database, *self.databases):
                make_extension(Server(self.database, session), major, each, database)

    def initialise(self, session: Session, files: Sequence[InitialFile], progress: Progress) -> tuple[str, ...]:
        from stack.components.postgres.initialising import initialise

        return initialise(Server(self.database, session), files, progress)

    def migrate(
        self, session: Session, migrations: tuple[Migration, ...], progress: Progress
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        from stack.components.postgres.migrating import migrate

        return migrate(Server(self.database, session), migrations, progress)

    def rehearse(
        self, access: Access, major: int, pending: Pending, progress: Progress
    ) -> tuple[RehearsedMigration, ...]:
        from stack.components.postgres.rehearsing import rehearse

        with access.offline(self.database.serve(access.target)) as session:
            self.separate(session, major)
            self.make_databases(session, major, pending.databases, progress)
            self.make_extensions(session, major, pending.extensions, progress)
            return rehearse(Server(self.database, session), pending.migrations, progress)
