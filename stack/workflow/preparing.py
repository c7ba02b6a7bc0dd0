"""Prepare databases before what uses them is made: their user, their extensions, their schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stack.capabilities import Schema
from stack.engines.process import FinishedJob
from stack.progress import Progress
from stack.verdict import await_proved
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
        for component in stack:
            if component.schema is not None and component.name in names:
                await_proved(opened.instance, opened.engine, component, job, surveyed.observed, timeout, progress)
                done[component.name] = tuple(_prepare(opened, surveyed, component.name, component.schema, progress))
    return Prepared(frozenset(first), {name: what for name, what in done.items() if what})


def _prepare(opened: Opened, surveyed: Survey, name: str, schema: Schema, progress: Progress) -> list[str]:
    """What was done, for people."""
    session, major = opened.engine.session(name), opened.engine.version(name) or 0
    done = []
    if name in surveyed.plan.superusers:
        if (what := schema.separate(session, major)) is not None:
            done.append(what)
            progress.step(f"{name}: {what}")
        remember_separated(opened, [name])
    if extensions := surveyed.plan.extensions.get(name):
        schema.make_extensions(session, major, extensions, progress)
        done.append(f"made the extensions {', '.join(extensions)}")
        known = opened.state.applied()
        had = dict.fromkeys([*known.extensions.get(name, ()), *extensions])
        opened.state.remember_applied(replace(known, extensions={**known.extensions, name: [*had]}))
    if name in surveyed.migrations:
        applied, new = schema.migrate(session, surveyed.declared_migrations[name], progress)
        known = opened.state.applied()
        opened.state.remember_applied(replace(known, migrations={**known.migrations, name: applied}))
        done += [f"applied {', '.join(new)}"] if new else []
    return done
