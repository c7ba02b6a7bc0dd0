"""All rows: add one here. Each is a function of the session that returns a Result."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks import service_rows
from benchmarks.figures import Result
from benchmarks.session import Session

Row = Callable[[Session], Result]

ROWS: Mapping[str, Row] = {
    "visits": service_rows.visits,
    "reads": service_rows.reads,
    "silence": service_rows.silence,
    "connections": service_rows.connections,
    "pages": service_rows.pages,
    "replicas": service_rows.replicas,
}
