"""Read what `Postgres.query` writes. Pure."""

from __future__ import annotations

import csv
import io

from stack.frozen import dataclass


@dataclass(frozen=True)
class Rows:
    """The answer to a query: the names of its columns, and its rows as text, NULL as None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def read_rows(text: str) -> Rows:
    """Read the CSV of a query; a statement without rows writes nothing."""
    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        return Rows((), ())
    header, *body = lines
    return Rows(tuple(header), tuple(tuple(None if cell == r"\N" else cell for cell in row) for row in body))
