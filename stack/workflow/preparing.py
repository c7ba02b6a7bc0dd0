"""Prepare databases before what uses them is made: their user, their extensions, their schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stack.capabilities import Schema
from stack.engines.process import FinishedJob
from stack.progress import Progress
from stack.verdict import await_verified
from stack.workflow.journal import Journal
from stack.workflow.opening import Opened
from stack.workflow.planning import PlanContext
from stack.workload import VolumeId


@dataclass(frozen=True)
class Prepared:
    """`started`: the components that were made for it. `done`: what was done, for people, by database."""

    started: frozenset[str]
    done: Mapping[str, tuple[str, ...]]


def prepare_databases(
    opened: Opened, journal: Journal, context: PlanContext, timeout: float, progress: Progress
) -> Prepared:
    """Do in databases what the plan names, before what uses them is made or recreated. If one of these databases does
    not run as declared, all that uses no other component is made first. No file of a migration is read again.

    Raises `roles-failed`, `extension-missing` and `extension-failed`, what `migrate` raises, and for a database that
    does not get ready what `await_ready` raises.
    """
    stack, names = opened.instance.stack, context.plan.prepared
    running = {action.target for action in context.plan.actions if action.kind == "keep"}
    first = [] if running.issuperset(names) else [each.name for each in stack if not each.needs]
    done: dict[str, tuple[str, ...]] = {}
    with opened.engine.apply(context.plan.forced.intersection(first), first) if first else FinishedJob() as job:
        for component in stack:
            if component.schema is not None and component.name in names:
                await_verified(opened.instance, opened.engine, component, job, context.observed, timeout, progress)
                done[component.name] = tuple(
                    _prepare(opened, journal, context, component.name, component.schema, progress)
                )
    return Prepared(frozenset(first), {name: what for name, what in done.items() if what})


def _prepare(
    opened: Opened, journal: Journal, context: PlanContext, name: str, schema: Schema, progress: Progress
) -> list[str]:
    """Do it in one database, save each step, and return what was done, for people."""
    session, major = opened.engine.session(name), opened.engine.version(name) or 0
    done = []
    if name in context.plan.superusers:
        if (what := schema.separate(session, major)) is not None:
            done.append(what)
            progress.step(f"{name}: {what}")
        journal.save(journal.applied.demoted([context.declared.stores[VolumeId.of(name)]]))
    if databases := context.plan.databases.get(name):
        schema.make_databases(session, major, databases, progress)
        done.append(f"made the databases {', '.join(databases)}")
        journal.save(journal.applied.with_databases(name, databases))
    if extensions := context.plan.extensions.get(name):
        schema.make_extensions(session, major, extensions, progress)
        done.append(f"made the extensions {', '.join(extensions)}")
        journal.save(journal.applied.extended(name, extensions))
    if name in context.plan.initial:
        ran = schema.initialise(session, context.declared.initial[name], progress)
        done += [f"ran {', '.join(ran)}"] if ran else []
        journal.save(journal.applied.initialised(name))
    if name in context.plan.migrations:
        checksums, new = schema.migrate(session, tuple(context.declared.migrations[name]), progress)
        journal.save(journal.applied.migrated(name, checksums))
        done += [f"applied {', '.join(new)}"] if new else []
    return done
