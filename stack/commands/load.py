"""`stackctl load` and `stackctl seed`: put the data of a dump, or any SQL, into a database, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Literal, cast

from stack.commands.inspect import pick
from stack.components.postgres import Postgres
from stack.components.postgres.script import run_whole
from stack.components.postgres.server import Server, conninfo
from stack.components.redis import Redis
from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report, size
from stack.settings import Settings
from stack.snapshots.manifest import Manifest
from stack.snapshots.ownership import NEEDS_ADMIN, needs_admin
from stack.snapshots.shelf import Shelf
from stack.snapshots.starting import Beside
from stack.snapshots.streams import Kind, Peekable, unpacked
from stack.snapshots.transfer import LOADING, Counted, chunks, stream
from stack.workflow.confirming import Confirm
from stack.workflow.keeping import fate, save, serving_version, with_data
from stack.workflow.opening import Opened, change, require_running
from stack.workflow.ports import registered
from stack.workflow.preparing import make_extensions
from stack.workflow.replacing import Replacement, replace_data

# What a database takes for each byte of a dump that is packed well.
_GROWS = 8


def load(
    settings: Settings,
    progress: Progress,
    source: Path | None,
    standard_input: IO[bytes],
    name: str | None,
    command: Literal["load", "seed"] = "load",
) -> Report:
    """Put a dump into the database `name` (the only one) that runs, in one transaction. `source` None reads the input.

    Raises `load-format`, `load-failed`, of which nothing remains, and `file-unusable`.
    """
    with change(settings, progress) as opened:
        database = pick(opened.instance, Postgres, name)
        require_running(opened.instance, opened.engine.observe(), database.name)
        with _reading(source, standard_input, command) as (plain, kind):
            done = fill(Server(database, opened.engine.session(database.name)), plain, kind, progress)
        _forget_copies(opened)
    text = f"{_called(source)} is in {database.database} ({size(done)})"
    return Report(command, text, {"instance": opened.instance.name, "component": database.name, "bytes": done})


def load_in_place(
    settings: Settings,
    progress: Progress,
    confirm: Confirm,
    source: Path | None,
    standard_input: IO[bytes],
    name: str | None,
    saves: bool = True,
    timeout: float = 120,
) -> Report:
    """The same into a new database, which then takes the place of the one that is there."""
    with change(settings, progress) as found:
        database = pick(found.instance, Postgres, name)
        found.engine.check()
        replaced = database in with_data(found)
        asked = f"This replaces the data of {database.name} by that of {_called(source)}; {fate(saves)}."
        if replaced and not confirm(asked):
            raise StackError("cancelled", "nothing was changed", "answer y, or say --yes")
        with (
            _reading(source, standard_input, "load") as (plain, kind),
            registered(found, settings) as opened,
        ):

            def before() -> Manifest | None:
                if not (replaced and saves):
                    return None
                return save(opened, Shelf(settings.state_root, opened.instance.name), None, "load", progress)[1]

            def put(beside: Beside) -> None:
                with beside(LOADING) as server:
                    make_extensions(server, serving_version(opened, database), database.extensions, progress)
                    fill(server, plain, kind, progress)

            needed = source.stat().st_size * _GROWS if source else 0
            report = replace_data(opened, Replacement({database.name: put}, before, needed), progress, timeout)
    text = f"{opened.instance.name} has the data of {_called(source)} now"
    data = {"instance": opened.instance.name, "component": database.name, "up": report.data}
    return report.headed("load", text, data)


def _called(source: Path | None) -> str:
    return str(source) if source else "the standard input"


@contextmanager
def _reading(
    source: Path | None, standard_input: IO[bytes], command: Literal["load", "seed"]
) -> Iterator[tuple[Peekable, Kind]]:
    try:
        with open(source, "rb") if source else nullcontext(standard_input) as file:
            plain, kind = unpacked(file, _called(source))
            if command == "seed" and kind != "sql":
                raise StackError("load-format", f"{_called(source)} is no SQL", "a dump goes in with `stackctl load`")
            yield plain, kind
    except (OSError, EOFError) as error:
        raise StackError(
            "file-unusable",
            f"{_called(source)}: {_problem(error)}; nothing was loaded",
            "check its path, or fetch it again",
        ) from error


def fill(server: Server, plain: Peekable, kind: Kind, progress: Progress) -> int:
    """Put all of it into the database in one transaction. How many bytes it was. Raises `load-failed`."""
    return (_fill_by_sql if kind == "sql" else _fill_by_archive)(server, plain, progress)


def _fill_by_sql(server: Server, plain: Peekable, progress: Progress) -> int:
    counted = Counted(chunks(cast("IO[bytes]", plain)), server, "loading", progress)
    if (failure := run_whole(server, counted)) is not None:
        raise _failed(server.database, failure.text, failure.nothing_kept)
    return counted.bytes


def _fill_by_archive(server: Server, plain: Peekable, progress: Progress) -> int:
    """Of whoever the data was where it comes from, here it is the component's user's."""
    database = server.database
    words = ["pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
    with server.pipe([*words, "-d", conninfo(database.database, database.user)], feed=True) as pg_restore:
        with suppress(BrokenPipeError):  # what it says tells why
            written = stream(chunks(cast("IO[bytes]", plain)), pg_restore.input, server, "loading", progress)
        if pg_restore.finish():
            raise _failed(database, pg_restore.complaint)
    return written


def _failed(database: Postgres, complaint: str, nothing_kept: bool = True) -> StackError:
    kept = "nothing of it was kept" if nothing_kept else "a part of it may be kept"
    return StackError(
        "load-failed",
        f"{database.name} did not take it, and {kept}: {_first_error(complaint)}",
        NEEDS_ADMIN.format(name=database.name)
        if needs_admin(complaint)
        else "fix what it names; to put it in the place of what is there: `stackctl load --replace FILE`",
        complaint,
    )


def _first_error(said: str) -> str:
    return next((line for line in said.splitlines() if "ERROR" in line or "error" in line), said.strip())


def _forget_copies(opened: Opened) -> None:
    """A cache may hold what the database held before."""
    running = opened.engine.observe().components
    for cache in opened.instance.stack:
        if isinstance(cache, Redis) and cache.name in running and running[cache.name].running:
            answer = opened.engine.session(cache.name).run(["redis-cli", "FLUSHALL"])
            if not answer.ok:
                raise StackError(
                    "query-failed",
                    f"the data is loaded, but {cache.name} could not be emptied: {answer.stderr or answer.stdout}",
                    f"empty it by hand: `stackctl exec {cache.name} -- redis-cli FLUSHALL`",
                )


def _problem(error: OSError | EOFError) -> str:
    """Without the number and the path, which the message has."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
