"""The data folder of a PostgreSQL that runs as a process: whether a server may be started on it, and whether one is."""

from __future__ import annotations

from pathlib import Path

from stack.capabilities import Programs
from stack.components.postgres import cluster

SCRIPT = Path(cluster.__file__)
first_statements = cluster.first_statements
made = cluster.made


class PostgresFolder:
    """See `stack.capabilities.DataFolder`."""

    def problem(self, folder: Path, programs: Programs) -> tuple[str, str] | None:
        return cluster.problem(folder, programs.major or 0)

    def major(self, folder: Path) -> int | None:
        return cluster.version_of(folder)

    def in_use(self, folder: Path) -> bool:
        return cluster.is_served(folder)
