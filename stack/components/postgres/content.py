"""What is in the databases of a server, in one transaction: their names, and of each table the rows and a checksum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.saved import Table
from stack.components.postgres.server import Server

# The kind of checksum that is written; the first one can still be compared.
CHECKSUMS = 2
# Whatever they are set to, the same rows give the same text. The limit is one that older versions do not know.
_SETTINGS = """\
SELECT count(set_config(name, value, false)) FROM pg_settings JOIN (VALUES
    ('transaction_timeout', '0'),
    ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('lc_monetary', 'C'), ('search_path', ''), ('row_security', 'off')
) AS wanted (name, value) USING (name);
"""
# What pg_dump saves the rows of. Those of an extension come with the extension. A tree with a hash partition is one
# table: which of its leaves a row is in depends on numbers that another server assigns differently, such as an enum's.
_TREES = """\
SELECT pg_class.oid AS leaf, CASE WHEN EXISTS (
    SELECT FROM pg_partition_ancestors(pg_class.oid) JOIN pg_partitioned_table ON partrelid = relid
    WHERE partstrat = 'h'
) THEN pg_partition_root(pg_class.oid) ELSE pg_class.oid END::oid AS whole
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
    )
"""
# Columns whose values have a fixed width, and the others, each with the kind of its type. What is generated is left
# out: another version, or another order of letters, may generate something else.
_TABLES = f"""\
SELECT coalesce(json_agg(json_build_object(
    'name', format('%I.%I', nspname, relname), 'source', CASE relkind WHEN 'r' THEN 'ONLY ' ELSE '' END,
    'narrow', narrow, 'wide', wide
) ORDER BY nspname, relname), '[]')
FROM (SELECT DISTINCT whole FROM ({_TREES}) AS trees) AS wholes
JOIN pg_class ON pg_class.oid = whole JOIN pg_namespace ON pg_namespace.oid = relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(quote_ident(attname) ORDER BY attnum) FILTER (WHERE attlen > 0), '[]') AS narrow,
        coalesce(json_agg(json_build_array(quote_ident(attname), CASE
                WHEN atttypid = 'bytea'::regtype THEN 'binary' WHEN atttypid >= 16384 THEN 'own' ELSE 'plain' END
            ) ORDER BY attnum)
            FILTER (WHERE attlen < 0), '[]') AS wide
    FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
) AS columns;
"""  # noqa: S608 - constants
_FIRST_TABLES = f"""\
SELECT coalesce(json_agg(json_build_array(format('%I.%I', leaf_schema.nspname, leaf_class.relname),
    format('%I.%I', whole_schema.nspname, whole_class.relname))
    ORDER BY leaf_schema.nspname, leaf_class.relname), '[]')
FROM ({_TREES}) AS trees
JOIN pg_class AS leaf_class ON leaf_class.oid = leaf
JOIN pg_namespace AS leaf_schema ON leaf_schema.oid = leaf_class.relnamespace
JOIN pg_class AS whole_class ON whole_class.oid = whole
JOIN pg_namespace AS whole_schema ON whole_schema.oid = whole_class.relnamespace;
"""  # noqa: S608 - constants
# A sum, so that the order of the rows is no matter, of the same function that partitioned tables are hashed with, so
# that it stays the same from one version to the next.
_CONTENT = """\
SELECT json_build_array(count(*), coalesce(sum({hashed}), 0)::text)
FROM {source} AS "the row";
"""
# Of the first kind of checksum: the text of a row takes several times the memory of the row.
_ROW = 'hashtextextended("the row"::text COLLATE "C", 0)'
_LARGE_OBJECTS = "pg_catalog.pg_largeobject"
_LARGE_OBJECT_COLUMNS: tuple[list[str], list[tuple[str, str]]] = (["loid", "pageno"], [("data", "binary")])
# The text of a value, by the kind of its type. For a type of a user's own `::text` may be a cast of that user's, which
# would run as the administrator; `concat` asks the output function of the type.
TEXT = {
    "binary": "sha256({name})::text",
    "own": "CASE num_nulls({name}) WHEN 0 THEN concat({name}) END",
    "plain": "{name}::text",
}


class Session:
    """A psql in one transaction that sees one moment."""

    def __init__(self, asked: Psql, major: int) -> None:
        self.major = major
        self._psql = asked
        self.ask(_SETTINGS)
        self.moment = self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSELECT pg_export_snapshot();\n")
        """The name under which `pg_dump --snapshot` sees the same."""

    def ask(self, question: str) -> str:
        """The one line that answers a statement. Raises `query-failed`."""
        return self._psql.ask(question)

    def lines(self, question: str) -> Iterator[bytes]:
        """The lines that answer statements, as they come. Raises `query-failed`."""
        return self._psql.lines(question)

    def abandon(self) -> None:
        """End the session now, even if another thread waits for an answer."""
        self._psql.abandon()

    def tables(self, checksums: int = CHECKSUMS) -> tuple[Table, ...]:
        """Each table, and where there are any the large objects, with what it holds, in checksums of that kind."""
        found = self._first_tables() if checksums == 1 else self._tables()
        how = _ROW if checksums == 1 else hashed(*_LARGE_OBJECT_COLUMNS)
        objects = self._table(_LARGE_OBJECTS, _LARGE_OBJECTS, how)
        return (*found, objects) if objects.rows else tuple(found)

    def _tables(self) -> list[Table]:
        tables: list[dict[str, Any]] = json.loads(self.ask(_TABLES))
        return [
            self._table(each["name"], each["source"] + each["name"], hashed(each["narrow"], each["wide"]))
            for each in tables
        ]

    def _first_tables(self) -> list[Table]:
        return [self._table(leaf, f"ONLY {leaf}", _ROW) for leaf in self.trees()]

    def trees(self) -> dict[str, str]:
        """The name of each table that holds rows, with that of the tree whose rows are compared together."""
        return dict(json.loads(self.ask(_FIRST_TABLES)))

    def _table(self, name: str, source: str, hashed: str) -> Table:
        rows, checksum = json.loads(self.ask(_CONTENT.format(source=source, hashed=hashed)))
        return Table(name, rows, checksum)


def hashed(narrow: Sequence[str], wide: Sequence[tuple[str, str]]) -> str:
    """The SQL of a number that stands for a row. No value is copied together with another."""
    parts = [f"ROW({', '.join(narrow)})::text"]
    parts += [TEXT[kind].format(name=name) for name, kind in wide]
    hashes = ", ".join(f'hashtextextended({part} COLLATE "C", 0)' for part in parts)
    return f"hash_array_extended(ARRAY[{hashes}], 0)"


@contextmanager
def session(server: Server, database: str, major: int) -> Iterator[Session]:
    """A transaction on a database of the server. Raises `query-failed`."""
    with psql(server, database, neutral(major)) as asked:
        yield Session(asked, major)


def neutral(major: int) -> dict[str, str]:
    """The settings under which a connection changes and is refused nothing by itself, whatever a role or a database
    is set to: no event trigger runs, not even one for each login, and no function or operator that a user has made is
    taken for one of PostgreSQL's own.
    """
    triggers = ("event_triggers", "off") if major >= 17 else ("session_replication_role", "replica")
    return dict([("default_transaction_read_only", "off"), ("search_path", "pg_catalog"), triggers])


def grouped(tables: Iterable[Table], trees: Mapping[str, str]) -> tuple[Table, ...]:
    """The same with the tables of each tree as one."""
    found: dict[str, Table] = {}
    for table in tables:
        name = trees.get(table.name, table.name)
        known = found.get(name, Table(name, 0, "0"))
        found[name] = Table(name, known.rows + table.rows, str(int(known.checksum) + int(table.checksum)))
    return tuple(found.values())
