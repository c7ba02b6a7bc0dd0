"""What the largest row of a table takes: a server writes a row as one text, and needs the memory for it at once."""

from __future__ import annotations

import json
from typing import Any

from stack.components.postgres.content import Session
from stack.components.postgres.server import Server
from stack.controls import visible
from stack.errors import StackError
from stack.frozen import dataclass
from stack.report import size

# The text of the row, its copy in the buffer that is sent, and that of the `pg_dump` which runs beside the server.
_COPIES = 3
# What a server with few clients takes beside its buffers.
_OTHERWISE = 32 * 2**20
# No compression of PostgreSQL makes less of a value.
_PACKED_AT_BEST = 255
_MIB = 2**20
_BUFFERS = """\
SELECT setting::int8 * current_setting('block_size')::int8 FROM pg_settings WHERE name = 'shared_buffers';
"""
# Only tables that have enough outside their rows can have a large one. A length is known without reading the value.
_TABLES = """\
SELECT coalesce(json_agg(json_build_object('name', format('%I.%I', nspname, relname), 'length', length)), '[]')
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
CROSS JOIN LATERAL (
    SELECT string_agg(format(CASE
        WHEN atttypid = 'bytea'::regtype THEN 'coalesce(octet_length(%I)::int8 * 2, 0)'
        WHEN atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype) THEN 'coalesce(octet_length(%I), 0)'
        ELSE 'coalesce(pg_column_size(%I), 0)' END, attname), ' + ') AS length
    FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attlen < 0
        AND attgenerated = ''
) AS columns
WHERE relkind = 'r' AND relpersistence <> 't' AND length IS NOT NULL AND reltoastrelid <> 0
    AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
"""
_LARGEST = "SELECT coalesce(max({length}), 0) FROM ONLY {name};\n"


@dataclass(frozen=True)
class _Row:
    table: str
    bytes: int


def require_memory(server: Server, at: Session) -> None:
    """Raises `save-failed` for a row that the server would be ended for, as it has a limit of memory."""
    if server.memory is None:
        return
    taken = int(at.ask(_BUFFERS)) + _OTHERWISE
    most = max(server.memory - taken, server.memory // 4) // _COPIES
    row = _largest(at, most // _PACKED_AT_BEST)
    if row is None or row.bytes <= most:
        return
    name, needed = server.database.name, row.bytes * _COPIES + taken
    raise StackError(
        "save-failed",
        f"{name}: a row of {visible(row.table)} has {size(row.bytes)}, and to save it takes up to {size(needed)} of "
        f"memory, but {name} may take {size(server.memory)} and would be killed; nothing was changed",
        f"declare memory={-(-needed // _MIB // 64) * 64} for {name}, run `stackctl up`, and run this again",
    )


def _largest(at: Session, least: int) -> _Row | None:
    """That of the tables which have at least so many bytes outside their rows."""
    tables: list[dict[str, Any]] = json.loads(at.ask(f"{_TABLES} AND pg_relation_size(reltoastrelid) >= {least};\n"))
    rows = [_Row(each["name"], int(at.ask(_LARGEST.format(**each)))) for each in tables]
    return max(rows, key=lambda row: row.bytes, default=None)
