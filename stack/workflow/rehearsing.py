"""Apply what is pending in databases to copies of their data, which are made for that and deleted again."""

from __future__ import annotations

from stack.capabilities import Pending
from stack.progress import Progress
from stack.report import size
from stack.results.rehearsals import Rehearsal, RehearsedMigration, RehearsedStatement
from stack.style import Style
from stack.workflow.access import DataAccess
from stack.workflow.branching import Copied, copying
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.planning import PlanContext
from stack.workflow.replacing import Fill, fill_new_stores, remove_new_stores


def rehearse(opened: Opened, context: PlanContext, progress: Progress) -> Rehearsal:
    """Rehearse the pending migrations of each database that has data; hold the lock.

    Raises what a `branch` of the instance raises, and `migration-failed`: nothing remains of the copy then either.
    """
    copied, found = Copied(), dict[str, tuple[RehearsedMigration, ...]]()
    copies, pending = copying(opened, opened, copied, progress), context.plan.migrations
    fill = {
        name: _rehearsing(name, opened, context, copies[name], found, progress) for name in pending if name in copies
    }
    remove_new_stores(fill_new_stores(opened, Journal(opened.state), fill, progress), fill)
    return Rehearsal(copied.bytes, copied.cloned, found)


def _rehearsing(
    name: str,
    opened: Opened,
    context: PlanContext,
    copy: Fill,
    found: dict[str, tuple[RehearsedMigration, ...]],
    progress: Progress,
) -> Fill:
    schema, plan = opened.instance.stack[name].schema, context.plan
    assert schema is not None  # noqa: S101 - it has migrations
    databases, extensions = plan.databases.get(name, ()), plan.extensions.get(name, ())
    pending = Pending(databases, extensions, tuple(context.declared.migrations[name]))

    def fill(access: DataAccess) -> None:
        copy(access)
        found[name] = schema.rehearse(access, opened.engine.version(name) or 0, pending, progress)

    return fill


def rehearsal_lines(rehearsal: Rehearsal, style: Style) -> list[str]:
    """Say for people how long each statement took, and what it did to those who use the database."""
    if not rehearsal.migrations:
        return ["nothing was rehearsed: no migration is pending in a database that has data"]
    how = "cloned" if rehearsal.cloned else "copied"
    lines = [f"rehearsed on a copy of the data ({size(rehearsal.bytes)} {how}), which is deleted again:"]
    for name, migrations in rehearsal.migrations.items():
        for each in migrations:
            lines.append(f"  {name}: {each.name}, {_took(each.seconds)}")
            lines += [line for statement in each.statements for line in _statement_lines(statement, style)]
    return lines


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _statement_lines(statement: RehearsedStatement, style: Style) -> list[str]:
    told = [
        *(f"changes {count} row{'s' if count != 1 else ''} of {table}" for table, count in statement.rows.items()),
        *(f"rewrites all of {table}" for table in statement.rewritten),
        *(f"drops {table}" for table in statement.dropped),
        *(f"blocks {each.blocks} of {each.table} for {_took(each.seconds)}" for each in statement.locks),
    ]
    head = f"line {statement.line}: {statement.text} ({_took(statement.seconds)})"
    return [style.wrapped(head, "    ", "      "), *(style.wrapped(each, "      ", "        ") for each in told)]
