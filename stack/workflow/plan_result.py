"""Report a plan to programs."""

from __future__ import annotations

from stack.plan import Action
from stack.results.plans import FieldDifference, Obstacle, PlannedAction, PlannedChanges, StoreEffect
from stack.workflow.planning import PlanContext


def planned_changes(context: PlanContext) -> PlannedChanges:
    """Return a plan as it is printed with `--json` and saved."""
    plan, blocker = context.plan, context.blocker
    return PlannedChanges(
        instance=plan.instance,
        engine=plan.engine,
        changes=plan.something,
        groups=context.groups,
        actions=tuple(map(_action, plan.actions)),
        data=tuple(StoreEffect(each.store, each.effect, each.content) for each in plan.data),
        migrations=plan.migrations,
        extensions=plan.extensions,
        databases=plan.databases,
        initial_files=plan.initial,
        superusers=plan.superusers,
        missing_migrations=plan.missing,
        obstacle=Obstacle(blocker.code, blocker.message, blocker.hint) if blocker else None,
        basis=context.basis,
    )


def _action(action: Action) -> PlannedAction:
    return PlannedAction(
        component=action.target,
        action=action.kind,
        reasons=action.reasons,
        differences=tuple(
            FieldDifference(each.field, each.shown(each.before), each.shown(each.after)) for each in action.differences
        ),
        drift=action.drift,
        builds=action.builds,
        relaxations=action.relaxed,
    )
