"""Save and load the data of a PostgreSQL; see `stack.capabilities.DataStore`.

What does that takes a while to import, and every command has this module: few copy data, and they import it then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stack.capabilities import Access
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.rows import read_rows
from stack.components.postgres.server import Server
from stack.copying import OpenCopy
from stack.frozen import dataclass
from stack.progress import Progress
from stack.report import count, size

if TYPE_CHECKING:
    from stack.snapshots.archive import Archive, Writer
    from stack.snapshots.manifest import Saved


@dataclass(frozen=True)
class PostgresData:
    """All databases of a server, with its roles and settings."""

    database: Postgres
    product: str = "PostgreSQL"
    cold: bool = False
    portable: bool = True

    def identity(self) -> Mapping[str, str]:
        return {"user": self.database.user, "database": self.database.database}

    def summary(self, access: Access) -> str:
        with access.session(self.database.serve(access.target)) as session:
            server = Server(self.database, session)
            answers = [server.run(self.database.query(sql), limit=5) for sql in self.database.holdings()]
        rows = [read_rows(answer.stdout).rows for answer in answers if answer.ok]
        values = [int(found[0][0] or 0) for found in rows if found]
        if len(values) == len(answers) == 2:
            return f"{count(values[1], 'row')}, {size(values[0])}"
        return size(values[0]) if values else ""

    def save(self, access: Access, archive: Writer, progress: Progress) -> Saved:
        from stack.components.postgres.saved import pack
        from stack.components.postgres.saving import save_component

        with access.session(self.database.serve(access.target)) as session:
            server = Server(self.database, session)
            return pack(save_component(server, access.volumes[""], archive, access.free_space, progress))

    def major(self, saved: Saved) -> int:
        from stack.components.postgres.saved import unpack

        return unpack(self.database.name, saved).major

    def misfit(self, saved: Saved, major: int | None) -> tuple[str, str] | None:
        from stack.components.postgres.saved import unpack

        name, found = self.database.name, unpack(self.database.name, saved)
        for field, there, here in (
            ("user", found.user, self.database.user),
            ("database", found.database, self.database.database),
        ):
            if there != here:
                return f"its {field} of {name} is {there!r}, and {here!r} is declared", "declare that"
        serving = major or self.database.major
        if found.major > serving:
            return (
                f"it is of PostgreSQL {found.version}, and {name} runs {serving}: data goes to a newer one only",
                f"declare version={found.major} or newer",
            )
        return None

    def load(
        self, access: Access, archive: Archive, saved: Saved, password: str, accepts: bool, progress: Progress
    ) -> None:
        from stack.components.postgres.loading import load_component
        from stack.components.postgres.password import password_statement
        from stack.components.postgres.saved import unpack
        from stack.components.postgres.starting import unfit_settings
        from stack.components.postgres.transfer import LOADING

        found = unpack(self.database.name, saved)

        @contextmanager
        def server(settings: Sequence[str]) -> Iterator[Server]:
            with access.offline(self.database.serve(access.target, settings)) as session:
                yield Server(self.database, session, new=True)

        unfit = unfit_settings(server, found.system, progress)
        with server(LOADING) as opened:
            closing = password_statement(self.database, password)
            load_component(opened, archive, found, closing, accepts, progress, unfit)

    def copy(self, source: Access, opening: OpenCopy, progress: Progress) -> int:
        from stack.components.postgres.branching import copy_cluster

        return copy_cluster(self.database, source, opening, progress)

    def settle(self, access: Access, password: str) -> tuple[str, ...]:
        from stack.components.postgres.branching import settle_cluster

        return settle_cluster(self.database, access, password)
