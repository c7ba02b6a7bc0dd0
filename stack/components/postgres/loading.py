"""Load what was saved into a new server, with all that belongs to it, and compare what is in it then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from stack.components.postgres.content import Session, grouped, neutral
from stack.components.postgres.inventory import PLAIN, Cluster, Database, ask_cluster
from stack.components.postgres.ownership import demote, settle_loaded
from stack.components.postgres.properties import SYSTEM, Properties, changes, closing, creation, removal, system_setting
from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.saved import SavedComponent, SavedDatabase, Table
from stack.components.postgres.script import run_as_admin
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import broke, chunks, stream
from stack.controls import visible
from stack.errors import StackError
from stack.frozen import dataclass
from stack.progress import Progress
from stack.snapshots.archive import Archive, damaged
from stack.snapshots.zstandard import zstd

# One transaction holds a lock for each, and a server has room for some thousands.
_MOST_IN_ONE_TRANSACTION = 1000


def load_component(
    server: Server,
    archive: Archive,
    saved: SavedComponent,
    last: str,
    accepts: bool,
    progress: Progress,
    unfit: Mapping[str, str],
) -> None:
    """Fill a new server with what was saved, and compare what is in it then. `last`: SQL to run at the end. `unfit`:
    the settings of `ALTER SYSTEM` that it can't have, each with why.

    Raises `restore-failed`, `restore-differs`, `query-failed`, and unless `accepts` `snapshot-loses` for what this
    server can't have, before any data is loaded.
    """
    with psql(server, server.database.database, PLAIN) as asked:
        _load(asked, archive, saved, last, accepts, progress, unfit)


def _load(
    asked: Psql,
    archive: Archive,
    saved: SavedComponent,
    last: str,
    accepts: bool,
    progress: Progress,
    unfit: Mapping[str, str],
) -> None:
    server = asked.server
    new = _New(asked, saved, ask_cluster(asked), unfit)
    if (failure := run_as_admin(asked, _roles(archive, saved, new.found.admin))) is not None:
        raise broke("restore-failed", server, "the roles could not be made", failure.text)
    wanting = new.wanting()
    lost = [*new.make_databases(wanting)]
    now = new.ask() if wanting else new.found
    lost += new.set(now)
    if lost and not accepts:
        raise StackError(
            "snapshot-loses",
            f"{server.database.name}: this would be lost here: {'; '.join(lost)}; nothing was touched",
            "run it again with --accept-loss to go on without that",
        )
    for each in lost:
        progress.step(f"{server.database.name}: lost, as accepted: {each}")
    for database in saved.databases:
        _load_database(server, archive, database, new.found.major, progress)
        new.connect(database.name)
        _compare(asked, database, new.found.major, saved.checksums)
        new.connect(database.name)
        if database.tables and (complaint := asked.run("ANALYZE;")):
            raise new.failed(f"the statistics of {visible(database.name)}", complaint)
        settle_loaded(asked)
    if saved.of_superuser:
        demote(server, new.found.major)
    new.run(new.own, last, "the password")
    new.close(now)


@dataclass(frozen=True)
class _New:
    """A server that is new, which gets what belongs to the databases that were saved. `found`: as it was at first."""

    asked: Psql
    saved: SavedComponent
    found: Cluster
    unfit: Mapping[str, str]

    @property
    def own(self) -> str:
        return self.asked.server.database.database

    def connect(self, database: str) -> None:
        self.asked.connect(database, neutral(self.found.major))

    def run(self, database: str, statements: str, what: str) -> None:
        """Raises `restore-failed`."""
        if complaint := self._try(database, statements):
            raise self.failed(what, complaint)

    def failed(self, what: str, complaint: str) -> StackError:
        return broke("restore-failed", self.asked.server, f"{what} could not be made", complaint)

    def ask(self) -> Cluster:
        """What there is now."""
        self.asked.connect(self.own, PLAIN)
        return ask_cluster(self.asked)

    def _try(self, database: str, statements: str) -> str | None:
        self.connect(database)
        return self.asked.run(statements)

    def wanting(self) -> list[SavedDatabase]:
        """Return the databases that are not there, or are in another order of letters."""
        there = {each.name: each for each in self.found.databases}
        return [each for each in self.saved.databases if not _serves(each, there.get(each.name))]

    def make_databases(self, wanting: Sequence[SavedDatabase]) -> Iterator[str]:
        """Make databases, those that are there again. Give what can't be had."""
        there = {each.name for each in self.found.databases}
        for database in wanting:
            wanted = database.properties
            outside = "template1" if database.name == "postgres" else "postgres"
            if database.name in there:
                self.run(outside, removal(database.name), f"room for {visible(database.name)}")
            made = creation(database.name, database.encoding, wanted)
            if wanted is not None and (complaint := self._try(outside, made)) is None:
                continue
            if wanted is not None:
                order = f"the order of letters of {visible(database.name)}, {wanted.order_name}"
                yield f"{order} ({_first_line(complaint)})"
            self.run(
                outside, creation(database.name, database.encoding, None), f"the database {visible(database.name)}"
            )

    def set(self, now: Cluster) -> Iterator[str]:
        """Set what was set. Give what this server can't have."""
        yield from (f"ALTER SYSTEM SET {visible(name)} ({why})" for name, why in self.unfit.items())
        statements = list(self._statements(now))
        # Each can be run again, so one by one only if not all of them are taken.
        if not statements or self._try("postgres", "".join(statement for statement, _ in statements)) is None:
            return
        for statement, what in statements:
            if complaint := self._try("postgres", statement):
                yield f"{what} ({_first_line(complaint)})"

    def _statements(self, now: Cluster) -> Iterator[tuple[str, str]]:
        for name, found, wanted in self._properties(now):
            for what, statement in changes(name, found, wanted):
                yield statement, f"{what} of {visible(name)}"
        for setting in self.saved.settings:
            yield setting.statement, f"the setting {setting.name} of {visible(setting.database or 'all roles')}"
        fit = {name: value for name, value in self.saved.system.items() if name not in self.unfit}
        for name, value in fit.items():
            yield system_setting(name, value), f"ALTER SYSTEM SET {name}"

    def close(self, now: Cluster) -> None:
        """Set what may keep us out."""
        if last := "".join(closing(name, found, wanted) for name, found, wanted in self._properties(now)):
            self.run(self.own, last, "the limits of the databases")

    def _properties(self, now: Cluster) -> Iterator[tuple[str, Properties, Properties]]:
        """Of each database the name, what it has, and what it is to have."""
        there = {each.name: each.properties for each in now.databases}
        for database in self.saved.databases:
            if database.properties is not None:
                yield database.name, there[database.name], database.properties.renamed(self._roles(database.name))

    def _roles(self, database: str) -> dict[str, str]:
        """The role that every server is made with has a name of its own in each; so has what belongs to it."""
        first = self.saved.admin
        of_user = database == self.saved.database or database not in SYSTEM
        if first is None or (first == self.saved.user and of_user):
            return {}
        return {first: self.found.admin}


def _serves(saved: SavedDatabase, found: Database | None) -> bool:
    """Say whether the saved one can be loaded into the one that was found."""
    if found is None or saved.properties is None:
        return found is not None
    return (saved.encoding, saved.properties.order) == (found.encoding, found.properties.order)


def _first_line(complaint: str | None) -> str:
    """Without the name of the program."""
    lines = [line for line in (complaint or "").splitlines() if "ERROR" in line] or [complaint or ""]
    return visible(lines[0].rpartition("ERROR:")[2].strip())


def _roles(archive: Archive, saved: SavedComponent, admin: str) -> Iterator[bytes]:
    """Give the statements that make the roles, except those that every new server has.

    What the user granted as the first role of its server, the first role of this one grants.
    """
    names = "|".join(rf'{name}|"{name}"' for name in map(re.escape, (saved.user, admin)))
    present = re.compile(rf"CREATE ROLE (?:{names});\s*".encode())
    user = re.escape(saved.user)
    granted = re.compile(rf'(GRANT .* GRANTED BY )(?:{user}|"{user}");\s*'.encode())
    with archive.part(saved.roles) as stream:
        for line in stream:
            if saved.of_superuser and (found := granted.fullmatch(line)):
                yield found[1] + f'"{admin}";\n'.encode()
            elif not present.fullmatch(line):
                yield line


def _load_database(server: Server, archive: Archive, database: SavedDatabase, major: int, progress: Progress) -> None:
    one = ["--single-transaction"] if len(database.tables) <= _MOST_IN_ONE_TRANSACTION else []
    words = [
        "pg_restore", "--exit-on-error", *one, "--no-password",
        "-d", conninfo(database.name, server.admin, neutral(major)),
    ]  # fmt: skip
    name = visible(database.name)
    with server.pipe(words, feed=True) as restore, archive.part(database.dump) as plain:
        try:
            with suppress(BrokenPipeError):  # what it says tells why
                stream(chunks(plain), restore.input, server, f"loading {name}", progress)
        except (OSError, EOFError, zstd.ZstdError) as error:
            raise damaged(archive.path, f"{database.dump.name}: {error}") from error
        if restore.finish():
            raise broke("restore-failed", server, f"{name} could not be loaded", restore.complaint)


def _compare(asked: Psql, database: SavedDatabase, major: int, checksums: int) -> None:
    found = Session(asked, major)
    tables, saved = found.tables(checksums), database.tables
    if checksums == 1:
        trees = found.trees()
        tables, saved = grouped(tables, trees), grouped(saved, trees)
    if problem := difference(saved, tables):
        raise broke("restore-differs", asked.server, f"what came out is not what was saved: {problem}", "")


def difference(saved: Sequence[Table], found: Sequence[Table]) -> str | None:
    """The first table that is not as it was saved, for people."""
    before, after = ({table.name: table for table in tables} for tables in (saved, found))
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            return f"{visible(name)} {'is new' if was is None else 'is missing'}"
        if was.rows != now.rows:
            return f"{visible(name)} has {now.rows} rows and not {was.rows}"
        if was.checksum != now.checksum:
            return f"the rows of {visible(name)} are others"
    return None
