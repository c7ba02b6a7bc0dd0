"""Prepare databases before what uses them is made: their user, their extensions, their schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stack.components.postgres import Postgres
from stack.components.postgres.server import Server
from stack.engines.process import FinishedJob
from stack.progress import Progress
from stack.snapshots.ownership import make_extension, separate
from stack.verdict import await_proved
from stack.workflow.keeping import serving_version
from stack.workflow.migrating import migrate
from stack.workflow.opening import Opened
from stack.workflow.planning import Survey, remember_separated


@dataclass(frozen=True)
class Prepared:
    """`started`: the components that were made for it. `done`: what was done, for people, by database."""

    started: frozenset[str]
    done: Mapping[str, tuple[str, ...]]


def prepare_databases(opened: Opened, surveyed: Survey, timeout: float, progress: Progress) -> Prepared:
    """Do in databases what the plan names, before what uses them is made or recreated. If one of these databases does
    not run as declared, all that uses no other component is made first. No file of a migration is read again.

    Raises `roles-failed`, `extension-missing` and `extension-failed`, what `migrate` raises, and for a database that
    does not get ready what `await_ready` raises.
    """
    stack, names = opened.instance.stack, surveyed.plan.prepared
    running = {action.target for action in surveyed.plan.actions if action.kind == "keep"}
    first = [] if running.issuperset(names) else [each.name for each in stack if not each.needs]
    done: dict[str, tuple[str, ...]] = {}
    with opened.engine.apply(surveyed.plan.forced.intersection(first), first) if first else FinishedJob() as job:
        for database in stack:
            if isinstance(database, Postgres) and database.name in names:
                await_proved(opened.instance, opened.engine, database, job, surveyed.observed, timeout, progress)
                done[database.name] = tuple(_prepare(opened, surveyed, database, progress))
    return Prepared(frozenset(first), {name: what for name, what in done.items() if what})


def _prepare(opened: Opened, surveyed: Survey, database: Postgres, progress: Progress) -> list[str]:
    """What was done, for people."""
    name, server = database.name, Server(database, opened.engine.session(database.name))
    major = serving_version(opened, database)
    done = []
    if name in surveyed.plan.superusers:
        if separate(server, major):
            done.append(f"{database.user} was a superuser, and is the owner of {database.database} alone now")
            progress.step(f"{name}: {done[-1]}")
            # It knows another administrator.
            server = Server(database, opened.engine.session(database.name))
        remember_separated(opened, [name])
    if extensions := surveyed.plan.extensions.get(name):
        make_extensions(server, major, extensions, progress)
        done.append(f"made the extensions {', '.join(extensions)}")
        known = opened.state.applied()
        had = dict.fromkeys([*known.extensions.get(name, ()), *extensions])
        opened.state.remember_applied(replace(known, extensions={**known.extensions, name: [*had]}))
    if name in surveyed.migrations:
        applied, new = migrate(server, surveyed.declared_migrations[name], progress)
        known = opened.state.applied()
        opened.state.remember_applied(replace(known, migrations={**known.migrations, name: applied}))
        done += [f"applied {', '.join(new)}"] if new else []
    return done


def make_extensions(server: Server, major: int, extensions: Sequence[str], progress: Progress) -> None:
    """Raises `extension-missing` and `extension-failed`."""
    for each in extensions:
        progress.step(f"{server.database.name}: making the extension {each}")
        make_extension(server, major, each)
