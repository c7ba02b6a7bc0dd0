"""All rows: add one here. Each is a function of the session that returns a Result."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks import command_rows, data_rows, fixture_rows, life_rows, service_rows
from benchmarks.figures import Result
from benchmarks.session import Session

Row = Callable[[Session], Result]

# Those that need a Docker Engine, whatever the engine of the run is.
NEED_DOCKER = frozenset({"cold", "many", "render"})

ROWS: Mapping[str, Row] = {
    "visits": service_rows.visits,
    "slow-commits": service_rows.slow_commits,
    "reads": service_rows.reads,
    "silence": service_rows.silence,
    "connections": service_rows.connections,
    "pages": service_rows.pages,
    "replicas": service_rows.replicas,
    "help": command_rows.help_,
    "status": command_rows.status,
    "again": command_rows.again,
    "render": command_rows.render,
    "cold": command_rows.cold,
    "changed": life_rows.changed,
    "life": life_rows.life,
    "many": life_rows.many,
    "memory": life_rows.memory,
    "save": data_rows.save,
    "restore": data_rows.restore,
    "restore-little": data_rows.restore_little,
    "branch": data_rows.branch,
    "fresh-database": fixture_rows.fresh_database,
}
