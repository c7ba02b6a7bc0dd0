"""Save the data of an instance as a snapshot: on request, and before anything replaces or deletes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stack.components.postgres import Postgres
from stack.components.postgres.server import Server
from stack.errors import StackError
from stack.fields import is_hidden
from stack.model import Stack
from stack.progress import Progress
from stack.report import count, size
from stack.snapshots.archive import Writer
from stack.snapshots.manifest import Manifest, Reason
from stack.snapshots.saving import save_component
from stack.snapshots.shelf import Shelf, superfluous
from stack.version import __version__
from stack.workflow.opening import Opened, with_instance
from stack.workflow.planning import data_version
from stack.workload import VolumeId


def databases(opened: Opened) -> list[Postgres]:
    return [component for component in opened.instance.stack if isinstance(component, Postgres)]


def with_data(opened: Opened) -> list[Postgres]:
    """The databases of which there is data."""
    return [database for database in databases(opened) if opened.engine.has_data(database.name)]


def as_made(opened: Opened) -> Opened:
    """The same instance with each database of the version that made its data, whatever is declared now."""
    versions = {database.name: data_version(opened, database.name) for database in with_data(opened)}
    wrong = {name for name, version in versions.items() if version not in (None, _serving(opened, name))}
    return with_versions(opened, {name: versions[name] for name in wrong}) if wrong else opened


def _serving(opened: Opened, name: str) -> int:
    database = opened.instance.stack[name]
    return serving_version(opened, database) if isinstance(database, Postgres) else 0


def serving_version(opened: Opened, database: Postgres) -> int:
    """The major version that serves a database, or would."""
    return opened.engine.version(database.name) or database.major


def with_versions(opened: Opened, versions: dict[str, int | None]) -> Opened:
    stack = opened.instance.stack
    components = [
        replace(each, version=versions[each.name]) if isinstance(each, Postgres) and each.name in versions else each
        for each in stack
    ]
    return with_instance(opened, replace(opened.instance, stack=Stack(stack.name, components)))


@contextlib.contextmanager
def serving(opened: Opened, database: Postgres) -> Iterator[Server]:
    """The server of a database: the one that runs, else one beside it on the same data, for as long as the block.

    Where the component is neither running nor at rest, it is stopped first.
    """
    state = opened.engine.observe().components.get(database.name)
    if state is not None and state.running:
        yield Server(database, opened.engine.session(database.name))
        return
    if state is not None and state.state not in ("exited", "created"):
        opened.engine.stop([database.name])
    with offline(opened, database) as server:
        yield server


@contextlib.contextmanager
def offline(opened: Opened, database: Postgres, settings: Sequence[str] = ()) -> Iterator[Server]:
    """A server on the data of a database that does not run. `settings` are words for it."""
    serve = database.serve(opened.engine.traits.target, settings)
    with opened.engine.offline(database.name, serve) as session:
        yield Server(database, session)


def fate(saves: bool) -> str:
    """What becomes of what is replaced, for people."""
    return f"what it holds now is {'saved first: `stackctl undo`' if saves else 'NOT saved'}"


def save(
    opened: Opened, shelf: Shelf, name: str | None, reason: Reason, progress: Progress, output: Path | None = None
) -> tuple[Path, Manifest]:
    """Make a snapshot of all databases that have data, at `output` or else on the shelf, where `name` is its name.

    Hold the lock. Raises `snapshot-exists`, `nothing-to-save`, `disk-full`, and what else hinders it.
    """
    now = datetime.now(UTC)
    made = as_made(opened)
    saved = with_data(made)
    if not saved:
        raise StackError(
            "nothing-to-save", f"{opened.instance.name} has no data to save", "`stackctl up` makes a database"
        )
    named = name or shelf.free_name(reason, now)
    path = output or shelf.path(named)
    if path.exists():
        raise StackError("snapshot-exists", f"{path} is there already", "choose another name, or delete that one first")
    if output is None:
        shelf.prepare()
    with Writer(path) as archive:
        components = {}
        for database in saved:
            progress.step(f"{database.name}: saving its data")
            with serving(made, database) as server:
                store = opened.engine.stores()[VolumeId.of(database.name)]
                components[database.name] = save_component(server, store, archive, made.engine.free_space, progress)
        manifest = Manifest(
            name=named,
            reason=reason,
            made=now,
            stackctl=__version__,
            stack=opened.instance.stack.name,
            instance=opened.instance.name,
            engine=opened.engine.name,
            components=components,
            ports=dict(opened.instance.ports),
            declaration=_declaration(opened),
        )
        taken = archive.finish(manifest)
    progress.step(f"saved as {path.name if output is None else path} ({count(manifest.rows, 'row')}, {size(taken)})")
    if manifest.automatic:
        _make_room(shelf, now)
    return path, manifest


def _make_room(shelf: Shelf, now: datetime) -> None:
    """Only what commands made by themselves goes by itself."""
    for item in superfluous(shelf.items(), now):
        item.path.unlink()


def _declaration(opened: Opened) -> dict[str, dict[str, str]]:
    return {
        name: {field: "***" if is_hidden(field) else value for field, value in fields.items()}
        for name, fields in opened.engine.fields().items()
    }
