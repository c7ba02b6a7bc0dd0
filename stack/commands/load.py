"""`stackctl load` and `stackctl seed`: put the data of a dump, or any SQL, into a database, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Literal

from stack.capabilities import Access, Session
from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report, size
from stack.results.stored import LoadResult, ReplaceResult
from stack.settings import Settings
from stack.snapshots.manifest import Manifest
from stack.snapshots.store import SnapshotStore
from stack.snapshots.streams import Kind, Peekable, unpacked
from stack.workflow.confirming import Confirm
from stack.workflow.finding import pick_database, require_running
from stack.workflow.journal import Journal
from stack.workflow.keeping import backup_notice, save, with_data
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.ports import registered
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
) -> Report[LoadResult]:
    """Put a dump into the database `name` (the only one) that runs, in one transaction. `source` None reads the input.

    Raises `load-format`, `load-failed`, of which nothing remains, and `file-unusable`.
    """
    with change(settings, progress) as opened:
        component, dumps = pick_database(opened.instance, name)
        require_running(opened.instance, opened.engine.observe(), component)
        with _reading(source, standard_input, command) as (plain, kind):
            done = dumps.load(opened.engine.session(component), plain, kind, progress)
        _forget_copies(opened)
    text = f"{_called(source)} is in {dumps.title} ({size(done)})"
    return Report(command, text, LoadResult(opened.instance.name, component, done))


def load_in_place(
    settings: Settings,
    progress: Progress,
    confirm: Confirm,
    source: Path | None,
    standard_input: IO[bytes],
    name: str | None,
    saves: bool = True,
    timeout: float = 120,
) -> Report[ReplaceResult]:
    """The same into a new database, which then takes the place of the one that is there."""
    with change(settings, progress) as found:
        component, dumps = pick_database(found.instance, name)
        found.engine.check()
        replaced = component in with_data(found)
        others = f"; its databases {', '.join(dumps.others)} begin empty" if dumps.others else ""
        asked = f"This replaces the data of {component} by that of {_called(source)}{others}; {backup_notice(saves)}."
        if replaced and not confirm(asked):
            raise StackError("cancelled", "nothing was changed", "answer y, or say --yes")
        with (
            _reading(source, standard_input, "load") as (plain, kind),
            registered(found, settings) as opened,
        ):

            def before() -> Manifest | None:
                if not (replaced and saves):
                    return None
                return save(opened, SnapshotStore(settings.state_root, opened.instance.name), None, "load", progress)[1]

            def put(access: Access) -> None:
                def load(session: Session) -> int:
                    return dumps.load(session, plain, kind, progress)

                dumps.fill(access, opened.engine.version(component) or 0, load, progress)

            needed = source.stat().st_size * _GROWS if source else 0
            report = replace_data(
                opened, Journal(opened.state), Replacement({component: put}, before, needed), progress, timeout
            )
    text = f"{opened.instance.name} has the data of {_called(source)} now"
    return report.headed("load", text, ReplaceResult(opened.instance.name, component, report.data))


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
            "check its path, and that it is a whole dump",
        ) from error


def _forget_copies(opened: Opened) -> None:
    """A cache may hold what the database held before."""
    running = opened.engine.observe().components
    for each in opened.instance.stack:
        if not each.emptying or each.name not in running or not running[each.name].running:
            continue
        answer = opened.engine.session(each.name).run(each.emptying)
        if not answer.ok:
            raise StackError(
                "query-failed",
                f"the data is loaded, but {each.name} could not be emptied: {answer.stderr or answer.stdout}",
                f"empty it by hand: `stackctl exec {each.name} -- {' '.join(each.emptying)}`",
            )


def _problem(error: OSError | EOFError) -> str:
    """Without the number and the path, which the message has."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
