"""Show what a database holds: the rows of its declared table, or of a query."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stack.capabilities import Ask, Inspection
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.rows import Rows, read_rows
from stack.errors import StackError
from stack.report import count
from stack.results.access import QueryRows, TableRows
from stack.style import Column, Style, table, width_of


def inspect(database: Postgres, ask: Ask, query: str | None) -> Inspection:
    """Read with psql beside the server, without a time limit for what a user asked for."""
    rows = _ask(database, ask, query)
    if rows is None:
        missing = f"the table {database.inspect} does not exist yet"
        return Inspection(TableRows(database.inspect, False, (), ()), lambda style: missing)
    if query is None:
        return Inspection(
            TableRows(database.inspect, True, rows.columns, rows.rows), lambda style: _rows_text(rows, style)
        )
    return Inspection(QueryRows(True, rows.columns, rows.rows), lambda style: _rows_text(rows, style))


def _ask(database: Postgres, ask: Ask, query: str | None) -> Rows | None:
    """None when the declared table does not exist; what a user asked for has to."""
    try:
        return read_rows(ask(database.name, database.query(query or database.inspection()), None if query else 30))
    except StackError as error:
        if query is None and database.inspect and f'relation "{database.inspect}" does not exist' in error.message:
            return None
        raise


def _rows_text(rows: Rows, style: Style) -> str:
    if not rows.columns:
        return "(done, no rows)"
    cells = [[_cell(value) for value in row] for row in rows.rows]
    columns = [Column(head, _is_number(each), least=4) for head, *each in zip(rows.columns, *cells, strict=True)]
    widest = max(map(width_of, table(columns, cells).split("\n")))
    note = "; … stands for what is too wide, --json has it" if style.width and widest > style.width else ""
    return f"{table(columns, cells, style, rule=True)}\n({count(len(rows.rows), 'row')}{note})"


def _is_number(column: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?|NULL", cell) for cell in column) and bool(set(column) - {"NULL"})


def _cell(value: str | None) -> str:
    return "NULL" if value is None else value.replace("\n", "\\n")
