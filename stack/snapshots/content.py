"""What is in the databases of a server, in one transaction: their names, and of each table the rows and a checksum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from stack.engines.process import Pipe
from stack.engines.server import Server, conninfo
from stack.errors import StackError
from stack.snapshots.manifest import Table

# Whatever they are set to, the same rows give the same text. The limit is one that older versions do not know.
_SETTINGS = """\
SELECT count(set_config(name, value, false)) FROM pg_settings JOIN (VALUES
    ('transaction_timeout', '0'),
    ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('lc_monetary', 'C'), ('search_path', ''), ('row_security', 'off')
) AS wanted (name, value) USING (name);
"""
# What pg_dump saves the rows of. Those of an extension come with the extension.
_TABLES = """\
SELECT coalesce(json_agg(format('%I.%I', nspname, relname) ORDER BY nspname, relname), '[]')
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
    );
"""
# A sum, so that the order of the rows is no matter. Partitioned tables are hashed with the same function, so that
# it stays the same from one version to the next.
_CONTENT = """\
SELECT json_build_array(count(*), coalesce(sum(hashtextextended("the row"::text COLLATE "C", 0)), 0)::text)
FROM {source} AS "the row";
"""
_LARGE_OBJECTS = "pg_catalog.pg_largeobject"


class Session:
    """A psql that is asked one thing after the other, in one transaction that sees one moment."""

    def __init__(self, server: Server, database: str, pipe: Pipe) -> None:
        self._server = server
        self._database = database
        self._pipe = pipe
        self.ask(_SETTINGS)
        self._tell("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n")
        self.moment = self.ask("SELECT pg_export_snapshot();\n")
        """The name under which `pg_dump --snapshot` sees the same."""

    def ask(self, question: str) -> str:
        """The one line that answers a statement. Raises `query-failed`."""
        self._tell(question)
        line = self._pipe.output.readline()
        if not line:
            self._pipe.finish()
            raise self._failed()
        return line.decode("utf-8").rstrip("\n")

    def _tell(self, statement: str) -> None:
        try:
            self._pipe.input.write(statement.encode())
            self._pipe.input.flush()
        except BrokenPipeError as error:
            raise self._failed() from error

    def _failed(self) -> StackError:
        name = self._server.database.name
        return StackError(
            "query-failed",
            f"{name}: the database {self._database} can't be read: {self._pipe.complaint.strip()}",
            f"look at `stackctl logs {name}`",
        )

    def abandon(self) -> None:
        """End it now, whoever waits for an answer."""
        self._pipe.end()

    def tables(self) -> tuple[Table, ...]:
        """Each table, and where there are any the large objects, with what it holds."""
        names: list[str] = json.loads(self.ask(_TABLES))
        found = [self._table(name, f"ONLY {name}") for name in names]
        objects = self._table(_LARGE_OBJECTS, _LARGE_OBJECTS)
        return (*found, objects) if objects.rows else tuple(found)

    def _table(self, name: str, source: str) -> Table:
        rows, checksum = json.loads(self.ask(_CONTENT.format(source=source)))
        return Table(name, rows, checksum)


@contextmanager
def session(server: Server, database: str) -> Iterator[Session]:
    """A transaction on a database of the server. Raises `query-failed`."""
    words = ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d"]
    with server.pipe([*words, conninfo(database, server.admin)], feed=True, take=True) as pipe:
        yield Session(server, database, pipe)
