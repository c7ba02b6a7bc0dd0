"""Write a plan for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stack.plan import Action, Kind, Plan
from stack.style import DIM, GREEN, RED, YELLOW, Style, cut
from stack.workflow.planning import PlanContext
from stack.workflow.summary import group_lines

# More components that stay as they are share a line.
_MOST_KEPT = 8
DONE: Mapping[Kind, str] = {
    "create": "created", "recreate": "recreated", "rebuild": "rebuilt", "restart": "restarted", "start": "started",
    "scale": "scaled", "remove": "removed", "run": "run", "keep": "kept",
}  # fmt: skip
_MARKS = {"create": ("+", GREEN), "remove": ("-", RED), "run": (">", GREEN), "keep": ("=", DIM)}


def plan_lines(context: PlanContext, style: Style) -> list[str]:
    """Say, for people, what happens to each component, then to each data store."""
    made = context.plan
    kept = [action.target for action in made.actions if _is_plain_keep(action)]
    together = kept if len(kept) > _MOST_KEPT else []
    lines = [line for each in made.actions if each.target not in together for line in _action_lines(each, style)]
    lines += [_marked("keep", f"keep: {', '.join(together)}", style)] if together else []
    for effect in made.data:
        store = effect.store if style.width is None else cut(style.path(effect.store), style.width // 2, "end")
        lines.append(_marked(effect.effect, f"data: {replace(effect, store=store)}", style))
    lines += preparing_lines(context, style, "data: ")
    lines += [_marked("keep", f"data: {line}", style) for line in missing_lines(context)]
    lines += [_marked("keep", line, style) for line in group_lines(context.groups)]
    if context.blocker is not None:
        refusal = f"`up` would refuse ({context.blocker.code}): {context.blocker.message}"
        lines += ["", style.wrapped(refusal), style.wrapped(context.blocker.hint)]
    elif not made.something:
        lines += ["", f"{made.instance} is as declared: `up` would change nothing"]
    return lines


def _is_plain_keep(action: Action) -> bool:
    return action.kind == "keep" and not action.reasons and not action.differences


def change_lines(context: PlanContext, style: Style) -> list[str]:
    """Say, for people, what `up` is about to change, and nothing else."""
    lines = [line for action in context.plan.changes for line in _action_lines(action, style)]
    return lines + preparing_lines(context, style)


def applied_lines(plan: Plan) -> list[str]:
    """Say, for people, what a plan has done to each component, and why, but for what was only restarted as asked."""
    return [
        f"{each.target} {DONE[each.kind]}, because {each.why}"
        for each in plan.changes
        if each.target not in plan.restarted
    ]


def missing_lines(context: PlanContext) -> list[str]:
    """Say, for people, which applied migrations have no file any more. They may be another branch's."""
    return [
        f"{name} has had {', '.join(names)}, no longer in its folder of migrations"
        for name, names in context.plan.missing.items()
    ]


def preparing_lines(context: PlanContext, style: Style, lead: str = "") -> list[str]:
    """Say, for people, what is done in databases before what uses them is made."""
    plan = context.plan
    superusers = [
        _marked("recreate", f"{lead}{name}: its user {user} becomes the owner of its database, and no superuser", style)
        for name, user in plan.superusers.items()
    ]
    made = [
        _marked("create", f"{lead}{name} {what} {', '.join(names)}", style)
        for what, each in (
            ("gets the databases", plan.databases),
            ("gets the extensions", plan.extensions),
            ("is made with", plan.initial),
        )
        for name, names in each.items()
    ]
    migrations = [
        _marked("create", f"{lead}{name} gets {', '.join(names)}{_unsure(context, name)}", style)
        for name, names in plan.migrations.items()
    ]
    return [*superusers, *made, *migrations]


def _unsure(context: PlanContext, name: str) -> str:
    return ", unless its data has had that" if name in context.plan.unsure else ""


def _action_lines(action: Action, style: Style) -> list[str]:
    """Write the action with its reasons, and below it each field that differs and each exception from the hardening."""
    why = f", because {'; '.join(action.reasons)}" if action.reasons else ""
    drift = " (drift)" if action.drift else ""
    fields = [
        _marked("create" if each.before is None else "remove" if each.after is None else "recreate", each, style, 4)
        for each in action.differences
    ]
    relaxed = [style.wrapped(f"{each}, as declared", "    ! ", " " * 8) for each in action.relaxed]
    return [_marked(action.kind, f"{action.target}: {action.kind}{why}{drift}", style), *fields, *relaxed]


def _marked(kind: str, text: object, style: Style, indent: int = 0) -> str:
    """Write text behind the mark of what is done; what stays as it is in a dim colour."""
    mark, colour = _MARKS.get(kind, ("~", YELLOW))
    line = style.wrapped(str(text), f"{' ' * indent}{mark} ", " " * (indent + 4))
    if kind == "keep":
        return style.paint(line, colour)
    return line.replace(mark, style.paint(mark, colour), 1)
