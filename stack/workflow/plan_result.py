"""Report a plan to programs."""

from __future__ import annotations

from stack.plan import Action
from stack.results.plans import FieldDifference, Obstacle, PlannedAction, PlannedChanges, StoreEffect
from stack.workflow.planning import Survey


def planned_changes(surveyed: Survey) -> PlannedChanges:
    plan, obstacle = surveyed.plan, surveyed.obstacle
    return PlannedChanges(
        instance=plan.instance,
        engine=plan.engine,
        changes=plan.something,
        actions=tuple(map(_action, plan.actions)),
        data=tuple(StoreEffect(each.store, each.effect, each.holds) for each in plan.data),
        migrations=plan.migrations,
        extensions=plan.extensions,
        superusers=plan.superusers,
        missing_migrations=surveyed.missing,
        obstacle=Obstacle(obstacle.code, obstacle.message, obstacle.hint) if obstacle else None,
        basis=surveyed.basis,
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
    )
