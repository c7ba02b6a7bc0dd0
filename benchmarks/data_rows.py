"""The rows of what keeps data: snapshots, beside plain `pg_dump` and `pg_restore` with the tools of the same server."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

from benchmarks.command_rows import Measure, interleaved, variables_of
from benchmarks.figures import Figure, Result
from benchmarks.instance import Instance
from benchmarks.session import Session

_AS = ("-w", "-U", "student")
_DATABASE = "student_notes"
_OTHER = "beside"


def save(session: Session) -> Result:
    """All data into one file that is compressed and on the disk, while it serves."""
    instance, folder = session.filled, session.filled.state.parent
    return _result(
        session,
        "save",
        "snapshot save",
        {
            "snapshot save": partial(_save, instance, folder / "saved.zip"),
            "pg_dump -Fc": partial(_dump, session, instance, folder / "saved.dump"),
        },
        "a snapshot has a checksum of each table, and all databases and roles",
    )


def restore(session: Session) -> Result:
    """All data out of such a file, until it can be used: of a snapshot by the app, of a dump in a new database."""
    instance, folder = session.filled, session.filled.state.parent
    saved, dumped = folder / "to-restore.zip", folder / "to-restore.dump"
    _save(instance, saved)
    _dump(session, instance, dumped)
    # The first of a round makes the data new, and the other's database goes with what was there.
    result = _result(
        session,
        "restore",
        "snapshot restore",
        {
            "snapshot restore": partial(_restore, instance, saved),
            "pg_restore --single-transaction": partial(_load, session, instance, dumped),
        },
        "a restore makes a new data store, checks the file and what came out of it, and starts everything on it",
    )
    _run(session, instance, "dropdb", *_AS, _OTHER)
    return result


def _result(session: Session, row: str, title: str, measures: Mapping[str, Measure], note: str) -> Result:
    query = f"SELECT pg_database_size('{_DATABASE}')"
    said = session.filled.exec("db", "psql", "-U", "student", "-d", _DATABASE, "-XAtc", query)
    megabytes = int(said) / 1e6
    times = interleaved(session, measures)
    rates = tuple(Figure(each.name, "MB/s", tuple(megabytes / seconds for seconds in each.values)) for each in times)
    own, plain = rates
    ratio = statistics.median(one / other for one, other in zip(own.values, plain.values, strict=True))
    return Result(
        row, f"{title} of {megabytes:,.0f} MB, {session.engine}", rates, (), (f"{ratio:.2f} × {plain.name}", note)
    )


def _save(instance: Instance, path: Path) -> None:
    path.unlink(missing_ok=True)
    instance.stackctl("snapshot", "save", "--output", str(path))


def _restore(instance: Instance, path: Path) -> None:
    instance.stackctl("snapshot", "restore", "--input", str(path), "--yes", "--no-snapshot")


def _dump(session: Session, instance: Instance, path: Path) -> None:
    with open(path, "wb") as file:
        _run(session, instance, "pg_dump", "-Fc", *_AS, "-d", _DATABASE, output=file)
        os.fsync(file.fileno())


def _load(session: Session, instance: Instance, path: Path) -> None:
    _run(session, instance, "createdb", *_AS, _OTHER)
    with open(path, "rb") as file:
        _run(session, instance, "pg_restore", "--single-transaction", *_AS, "-d", _OTHER, given=file)


def _run(
    session: Session, instance: Instance, *words: str, given: IO[bytes] | None = None, output: IO[bytes] | None = None
) -> None:
    """Run a tool of the server as one does without stackctl."""
    inside = ("docker", "compose", "exec", "-T", "db") if session.engine == "compose" else ()
    subprocess.run(
        [*inside, *words],
        stdin=given or subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=600,
        check=True,
        env=os.environ | variables_of(instance),
    )
