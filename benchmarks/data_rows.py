"""The rows of what keeps data: snapshots, beside plain `pg_dump` and `pg_restore` with the tools of the same server."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

from benchmarks.command_rows import Measure, interleaved, variables_of
from benchmarks.figures import Comparison, Figure, Result, Target, ratio
from benchmarks.instance import Instance
from benchmarks.session import Session

_AS = ("-w", "-U", "student")
_DATABASE = "student_notes"
_OTHER = "beside"
_EMPTY = f"CREATE DATABASE {_OTHER} OWNER student;\n"
_EMPTY_AGAIN = f"DROP DATABASE IF EXISTS {_OTHER};\n{_EMPTY}"
_BRANCH = "bench-branch"
_PARALLEL = "pg_restore -j 2"
_PIPED = "pg_dump | pg_restore"
_IN_CONTAINER = Path("/var/lib/postgresql/to-restore.dump")


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
        Target(1.5, "at least"),
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
            _PARALLEL: partial(_load, session, instance, dumped),
        },
        Target(0.9, "at least"),
        "a restore makes a new data store, checks the file and what came out of it, and starts everything on it",
        {_PARALLEL: partial(instance.stackctl, "shell", "db", "--write", "--admin", text=_EMPTY)},
    )
    _run(session, instance, "dropdb", *_AS, _OTHER)
    return result


def restore_little(session: Session) -> Result:
    """The same of a database that holds hardly anything: what does not depend on the data."""
    instance = session.playground
    saved = instance.state.parent / "little.zip"
    _save(instance, saved)
    (time,) = interleaved(session, {"snapshot restore": partial(_restore, instance, saved)})
    target = Comparison("in all", Target(2.5, "at most", "s"), time.values)
    return Result("restore-little", f"snapshot restore of one table, {session.engine}", (time,), (target,))


def branch(session: Session) -> Result:
    """All data in an instance of its own that can be used, beside a dump that goes into a new database of the same."""
    instance = session.filled
    try:
        return _result(
            session,
            "branch",
            "branch",
            {"branch": partial(_branch, instance), _PIPED: partial(_copy, session, instance)},
            Target(1.5, "at least"),
            "a branch is a whole instance that is up, with ports and passwords of its own",
            {
                "branch": partial(_forget, instance),
                _PIPED: partial(instance.stackctl, "shell", "db", "--write", "--admin", text=_EMPTY_AGAIN),
            },
        )
    finally:
        _forget(instance)
        _run(session, instance, "dropdb", "--if-exists", *_AS, _OTHER)


def _result(
    session: Session,
    row: str,
    title: str,
    measures: Mapping[str, Measure],
    target: Target,
    note: str,
    before: Mapping[str, Measure] | None = None,
) -> Result:
    query = f"SELECT pg_database_size('{_DATABASE}')"
    said = session.filled.exec("db", "psql", "-U", "student", "-d", _DATABASE, "-XAtc", query)
    megabytes = int(said) / 1e6
    times = interleaved(session, measures, before=before)
    rates = tuple(Figure(each.name, "MB/s", tuple(megabytes / seconds for seconds in each.values)) for each in times)
    own, plain = rates
    compared = ratio(plain.name, target, own, plain)
    return Result(row, f"{title} of {megabytes:,.0f} MB, {session.engine}", rates, (compared,), (note,))


def _branch(instance: Instance) -> None:
    instance.stackctl("branch", _BRANCH)


def _forget(instance: Instance) -> None:
    """Delete the branch of the round before, if there was one."""
    if _BRANCH in instance.stackctl("branch", "list"):
        instance.stackctl("branch", "delete", _BRANCH, "--yes", "--no-snapshot")


def _copy(session: Session, instance: Instance) -> None:
    dumped = shlex.join(["pg_dump", "-Fc", "-Z0", *_AS, "-d", _DATABASE])
    loaded = shlex.join(["pg_restore", "--exit-on-error", *_AS, "-d", _OTHER])
    _run(session, instance, "sh", "-c", f"{dumped} | {loaded}")


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
    """In parallel, which takes a file: on Docker it is brought to the server first."""
    if session.engine == "compose":
        with open(path, "rb") as file:
            _run(session, instance, "sh", "-c", f"cat > {_IN_CONTAINER}", given=file)
        path = _IN_CONTAINER
    _run(session, instance, "pg_restore", "--exit-on-error", "--jobs=2", *_AS, "-d", _OTHER, str(path))


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
