"""`stackctl plan`: what `up` would do, and to what. It changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from stack.errors import ExitCode, StackError
from stack.files import explaining
from stack.plan import Action
from stack.report import Report, as_json
from stack.settings import Settings
from stack.style import DIM, GREEN, RED, YELLOW, Style, cut
from stack.workflow.opening import look
from stack.workflow.planning import Survey, plan_data, survey
from stack.workflow.ports import preview

_MARKS = {"create": ("+", GREEN), "remove": ("-", RED), "keep": ("=", DIM)}


def plan(settings: Settings, exit_code: bool = False, output: Path | None = None) -> Report:
    """Compare the declaration with what exists. With `exit_code` it ends with 3 where something would change."""
    opened = preview(look(settings), settings)
    surveyed, notices = survey(opened, holdings=True), opened.literal_notices
    data = plan_data(surveyed) | {"notices": list(notices)}
    if output is not None:
        _save(output, data)
    ends = ExitCode.CHANGES if exit_code and (surveyed.plan.something or surveyed.obstacle) else ExitCode.DONE

    def text(style: Style) -> str:
        notes = [style.wrapped(notice, "note: ", "    ") for notice in notices]
        return "\n".join([*plan_lines(surveyed, style), *(["", *notes] if notes else [])])

    return Report.drawn("plan", text, data, int(ends))


def plan_lines(surveyed: Survey, style: Style) -> list[str]:
    """For people: each component, then each data store."""
    made = surveyed.plan
    lines = [line for action in made.actions for line in _action_lines(action, style)]
    for effect in made.data:
        store = effect.store if style.width is None else cut(style.path(effect.store), style.width // 2, "end")
        lines.append(_marked(effect.effect, f"data: {replace(effect, store=store)}", style))
    lines += preparing_lines(surveyed, style, "data: ")
    lines += [_marked("keep", f"data: {line}", style) for line in missing_lines(surveyed)]
    if surveyed.obstacle is not None:
        refusal = f"`up` would refuse ({surveyed.obstacle.code}): {surveyed.obstacle.message}"
        lines += ["", style.wrapped(refusal), style.wrapped(surveyed.obstacle.hint)]
    elif not made.something:
        lines += ["", f"{made.instance} is as declared: `up` would change nothing"]
    return lines


def change_lines(surveyed: Survey, style: Style) -> list[str]:
    """For people: what `up` is about to change, and nothing else."""
    lines = [line for action in surveyed.plan.changes for line in _action_lines(action, style)]
    return lines + preparing_lines(surveyed, style)


def missing_lines(surveyed: Survey) -> list[str]:
    """For people: the migrations that were applied and are gone. They may be another branch's."""
    return [
        f"{name} has had {', '.join(names)}, no longer in its folder of migrations"
        for name, names in surveyed.missing.items()
    ]


def preparing_lines(surveyed: Survey, style: Style, lead: str = "") -> list[str]:
    """For people: what is done in databases before what uses them is made."""
    plan = surveyed.plan
    superusers = [
        _marked("recreate", f"{lead}{name}: its user {user} becomes the owner of its database, and no superuser", style)
        for name, user in plan.superusers.items()
    ]
    extensions = [
        _marked("create", f"{lead}{name} gets the extensions {', '.join(names)}", style)
        for name, names in plan.extensions.items()
    ]
    migrations = [
        _marked("create", f"{lead}{name} gets {', '.join(names)}{_unsure(surveyed, name)}", style)
        for name, names in plan.migrations.items()
    ]
    return [*superusers, *extensions, *migrations]


def _unsure(surveyed: Survey, name: str) -> str:
    return ", unless its data has had that" if name in surveyed.unsure else ""


def _action_lines(action: Action, style: Style) -> list[str]:
    """The action with its reasons, and below it each field that differs."""
    why = f", because {'; '.join(action.reasons)}" if action.reasons else ""
    drift = " (drift)" if action.drift else ""
    fields = [
        _marked("create" if each.before is None else "remove" if each.after is None else "recreate", each, style, 4)
        for each in action.differences
    ]
    return [_marked(action.kind, f"{action.target}: {action.kind}{why}{drift}", style), *fields]


def _marked(kind: str, text: object, style: Style, indent: int = 0) -> str:
    """Text behind the mark of what is done; what stays as it is steps back."""
    mark, colour = _MARKS.get(kind, ("~", YELLOW))
    line = style.wrapped(str(text), f"{' ' * indent}{mark} ", " " * (indent + 4))
    if kind == "keep":
        return style.paint(line, colour)
    return line.replace(mark, style.paint(mark, colour), 1)


def _save(path: Path, data: dict[str, Any]) -> None:
    with explaining("file-unusable", path, "name a file in a folder that can be written to"):
        path.write_text(as_json(data, indent=2) + "\n", encoding="utf-8")


def check_saved(path: Path, surveyed: Survey) -> None:
    """Raises `plan-stale` when the world is not as it was when the plan in `path` was saved."""
    now = plan_data(surveyed)
    try:
        with explaining("file-unusable", path, "name the file of a plan"):
            text = path.read_text(encoding="utf-8")
        saved = json.loads(text)
        if "command" in saved:  # the envelope of `plan --json`
            saved = saved["data"]
        basis, actions = saved["basis"], saved["actions"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "make one with `stackctl plan --output FILE`"
        raise StackError("file-unusable", f"{path}: this is not a plan that stackctl saved", hint) from error
    if basis == now["basis"] and saved["instance"] == now["instance"]:
        return
    moved = [_one_line(action) for action in now["actions"] if action not in actions]
    raise StackError(
        "plan-stale",
        f"the plan in {path} is of another world: something has changed since it was made; nothing was done",
        "look with `stackctl plan`, and save it again if that is what you want",
        "\n".join(["now it would be:", *moved] if moved else []),
    )


def _one_line(action: dict[str, Any]) -> str:
    return f"{action['component']}: {action['action']}"
