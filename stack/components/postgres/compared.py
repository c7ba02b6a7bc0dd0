"""Read of a table what is needed to compare it with the same one elsewhere: sums of its rows, and rows by their keys.

A row stands for itself by a number that its server computes; only rows of parts whose sums differ leave the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stack.components.postgres.content import TEXT, Session, hashed
from stack.components.postgres.properties import identifier
from stack.frozen import dataclass
from stack.merging import Entry, counted

# The rows of a table are divided by their keys into so many parts: a few rows that differ are in a few parts.
_PARTS = 1024
# What is compared: each table with its rows, and a partitioned one as a whole. pg_dump saves the same, but no row of a
# materialized view; those of an extension come with it, and what stackctl notes is not the user's. The rows of a
# foreign table are another server's: beside a partition that is one, each of the others is a table of its own.
_TABLES = """\
SELECT coalesce(json_agg(json_build_object(
    'name', format('%I.%I', nspname, relname), 'only', relkind = 'r', 'derived', relkind = 'm',
    'columns', columns, 'keys', keys,
    'bytes', pg_table_size(t.oid) + (SELECT coalesce(sum(pg_table_size(relid)), 0) FROM pg_partition_tree(t.oid))
) ORDER BY nspname, relname), '[]')
FROM pg_class AS t JOIN pg_namespace ON pg_namespace.oid = relnamespace
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM pg_partition_tree(pg_partition_root(t.oid)) AS leaf JOIN pg_class AS f ON f.oid = leaf.relid
    WHERE f.relkind = 'f'
) AS beside_foreign) AS foreign_tables
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_object(
        'name', attname, 'narrow', attlen > 0, 'generated', attgenerated <> '',
        'number', atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype),
        'kind', CASE WHEN atttypid = 'bytea'::regtype THEN 'binary' WHEN atttypid >= 16384 THEN 'own' ELSE 'plain' END
    ) ORDER BY attnum), '[]') AS columns
    FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped
) AS all_columns
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(key ORDER BY indisprimary DESC, relname) FILTER (WHERE key IS NOT NULL), '[]') AS keys
    FROM (
        SELECT indisprimary, relname, (
            SELECT json_agg(attname ORDER BY place)
            FROM unnest(indkey::int2[]) WITH ORDINALITY AS part (number, place)
            JOIN pg_attribute ON attrelid = t.oid AND attnum = number
            WHERE place <= indnkeyatts HAVING bool_and(attnotnull)
        ) AS key
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = t.oid AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
    ) AS unique_indexes
) AS all_keys
WHERE relpersistence <> 't' AND nspname NOT IN ('information_schema', 'stackctl') AND nspname NOT LIKE 'pg\\_%'
    AND CASE relkind WHEN 'p' THEN NOT relispartition AND NOT beside_foreign
        WHEN 'r' THEN NOT relispartition OR beside_foreign WHEN 'm' THEN relispopulated ELSE false END
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = t.oid AND deptype = 'e'
    );
"""
# The parts come from a join: by it PostgreSQL knows how few there are, and needs not sort the rows to group them.
_SUMS = """\
SELECT coalesce(json_object_agg(number, json_build_array(rows, total)), '{{}}') FROM (
    SELECT parts.number, count(*) AS rows, sum({row})::text AS total
    FROM {source} AS "the row" JOIN generate_series(0, {last}) AS parts (number) ON parts.number = {key} & {last}
    GROUP BY parts.number
) AS sums;
"""
_ROWS = """\
COPY (SELECT {key}, {row}, tableoid::int8, ctid FROM {source} AS "the row"{where} ORDER BY {order}) TO STDOUT;
"""
_VALUES = """\
SELECT to_json(ARRAY[{values}]::text[]) FROM {source} AS "the row" WHERE tableoid = {table} AND ctid = '{place}';
"""
# In these the order of the bytes of texts is that of what is written of them.
_BYTES = ("UTF8", "SQL_ASCII")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@dataclass(frozen=True)
class Column:
    """A column. `kind`: that of its type, see `content.TEXT`. `number`: a whole number.

    `narrow`: its values have a fixed width. `generated`: its values follow from those of others.
    """

    name: str
    kind: str
    number: bool
    narrow: bool
    generated: bool

    @property
    def named(self) -> str:
        return f'"the row".{identifier(self.name)}'

    @property
    def text(self) -> str:
        """The SQL of its value as text."""
        return TEXT["plain" if self.kind == "binary" else self.kind].format(name=self.named)

    @property
    def digest(self) -> str:
        """The SQL of a text that stands for its value."""
        return f'hashtextextended({TEXT[self.kind].format(name=self.named)} COLLATE "C", 0)::text'


@dataclass(frozen=True)
class Shape:
    """A table as it is declared on one side, or what both sides have of it.

    `columns`: without those that are generated. `keys`: the columns of each key that its rows have. `bytes`: those that
    it takes.
    """

    name: str
    only: bool
    columns: tuple[Column, ...]
    keys: tuple[tuple[Column, ...], ...]
    bytes: int = 0

    @property
    def source(self) -> str:
        return f"ONLY {self.name}" if self.only else self.name

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns that tell its rows apart; none if any row may be there twice."""
        return self.keys[0] if self.keys else ()

    def common(self, other: Shape) -> Shape:
        """Return it with those columns and keys alone that another one has too."""
        theirs = {column.name: column for column in other.columns}
        columns = tuple(_of_both(each, theirs[each.name]) for each in self.columns if each.name in theirs)
        found = {tuple(column.name for column in key): key for key in other.keys}
        named = [(key, found.get(tuple(column.name for column in key))) for key in self.keys]
        keys = [tuple(map(_of_both, key, same)) for key, same in named if same is not None]
        return replace(self, columns=columns, keys=tuple(keys))


def _of_both(one: Column, other: Column) -> Column:
    """Return a column that has another type on the other side so that its values are compared as texts."""
    kind = one.kind if one.kind == other.kind else "own" if "own" in (one.kind, other.kind) else "plain"
    return replace(one, kind=kind, number=one.number and other.number, narrow=one.narrow and other.narrow)


# What PostgreSQL keeps the pages of large objects in.
_LARGE_OBJECTS = Shape(
    "pg_catalog.pg_largeobject",
    only=True,
    columns=(Column("data", "binary", number=False, narrow=False, generated=False),),
    keys=(tuple(Column(each, "plain", number=True, narrow=True, generated=False) for each in ("loid", "pageno")),),
)


def read_shapes(at: Session, derived: bool) -> dict[str, Shape]:
    """Return the tables of a database by their names, and if `derived` the materialized views that are filled.

    Raises `query-failed`.
    """
    tables = [each for each in json.loads(at.ask(_TABLES)) if derived or not each["derived"]]
    shapes = [*map(_shape, tables), _LARGE_OBJECTS]
    return {each.name: each for each in shapes}


def _shape(found: Mapping[str, Any]) -> Shape:
    columns = {each["name"]: Column(**each) for each in found["columns"]}
    keys = tuple(tuple(columns[name] for name in key) for key in found["keys"])
    compared = tuple(each for each in columns.values() if not each.generated)
    return Shape(found["name"], found["only"], compared, keys, found["bytes"])


def count_rows(at: Session, shape: Shape) -> int:
    return int(at.ask(f"SELECT count(*) FROM {shape.source};\n"))  # noqa: S608 - quoted by the server


def read_sums(at: Session, shape: Shape) -> dict[str, tuple[int, str]]:
    """Return of each part of the rows how many there are, and a sum that stands for them."""
    row = _row_hash(shape)
    question = _SUMS.format(key=_key_hash(shape) or row, last=_PARTS - 1, row=row, source=shape.source)
    return {part: (rows, total) for part, (rows, total) in json.loads(at.ask(question)).items()}


def read_entries(at: Session, shape: Shape, parts: Collection[str], encoding: str) -> Iterator[Entry]:
    """Yield the rows of some parts in the order of their keys; those without a key counted, by what stands for each.

    `encoding`: that of the database. What it writes is in UTF-8.
    """
    row, key = _row_hash(shape), _key_hash(shape)
    where = f" WHERE {key or row} & {_PARTS - 1} IN ({', '.join(parts)})" if len(parts) < _PARTS else ""
    question = _ROWS.format(
        key=", ".join(column.text for column in shape.key) or row,
        row=row,
        source=shape.source,
        where=where,
        order=", ".join(_order(column, encoding) for column in shape.key) or row,
    )
    numbers = [column.number for column in shape.key] or [True]
    entries = (_entry(line, numbers) for line in at.lines(question))
    return entries if shape.key else counted(entries)


def read_digests(at: Session, shape: Shape, entry: Entry) -> list[str | None]:
    """Return a text that stands for each value of a row, in the order of its columns."""
    return _ask_of(at, shape, entry, [column.digest for column in shape.columns])


def read_values(at: Session, shape: Shape, entry: Entry, names: Collection[str]) -> dict[str, str | None]:
    """Return the values of some columns of a row, by their names."""
    columns = [column for column in shape.columns if column.name in names]
    values = _ask_of(at, shape, entry, [column.text for column in columns])
    return {column.name: value for column, value in zip(columns, values, strict=True)}


def _ask_of(at: Session, shape: Shape, entry: Entry, values: Sequence[str]) -> list[str | None]:
    table, place = entry.place.decode().split()
    question = _VALUES.format(values=", ".join(values), source=shape.source, table=table, place=place)
    (line,) = at.lines(question)
    found: list[str | None] = json.loads(line.decode("utf-8", "replace"))
    return found


def _row_hash(shape: Shape) -> str:
    return _hash(shape.columns)


def _key_hash(shape: Shape) -> str:
    """Return the SQL of a number that stands for the key of a row; nothing if it has none."""
    if len(shape.key) == 1 and shape.key[0].number:
        return f"{shape.key[0].named}::int8"
    return _hash(shape.key) if shape.key else ""


def _hash(columns: Sequence[Column]) -> str:
    narrow = [column.named for column in columns if column.narrow]
    return hashed(narrow, [(column.named, column.kind) for column in columns if not column.narrow])


def _order(column: Column, encoding: str) -> str:
    """Return the SQL of the order in which Python has the values too."""
    if column.number:
        return column.named
    return f'{column.text} COLLATE "C"' if encoding in _BYTES else f"convert_to({column.text}, 'UTF8')"


def _entry(line: bytes, numbers: Sequence[bool]) -> Entry:
    *key, token, table, place = line.split(b"\t")
    values = [int(part) if number else unescaped(part) for part, number in zip(key, numbers, strict=True)]
    return Entry(tuple(values), token, table + b" " + place)


def unescaped(text: bytes) -> bytes:
    """Return a value of which `COPY` has written the text."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text) if b"\\" in text else text
