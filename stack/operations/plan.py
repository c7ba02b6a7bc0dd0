"""`stackctl plan`: what `up` would do, and to what. It changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stack.errors import ExitCode, StackError
from stack.operations.opening import look
from stack.operations.planning import Survey, plan_data, survey
from stack.operations.ports import preview
from stack.report import Report, as_json
from stack.settings import Settings


def plan(settings: Settings, exit_code: bool = False, output: Path | None = None) -> Report:
    """Compare the declaration with what exists. With `exit_code` it ends with 3 where something would change."""
    surveyed = survey(preview(look(settings), settings), holdings=True)
    data = plan_data(surveyed)
    if output is not None:
        _save(output, data)
    ends = ExitCode.CHANGES if exit_code and (surveyed.plan.something or surveyed.obstacle) else ExitCode.DONE
    return Report("plan", "\n".join(plan_lines(surveyed)), data, int(ends))


def plan_lines(surveyed: Survey) -> list[str]:
    """For people: each component, then each data store."""
    made = surveyed.plan
    lines = [f"{action}{' (drift)' if action.drift else ''}" for action in made.actions]
    lines += [f"data: {effect}" for effect in made.data]
    lines += [f"data: {name} gets {', '.join(names)}" for name, names in made.migrations.items()]
    lines += [
        f"data: {name} has had {', '.join(names)}, no longer in its folder of migrations"
        for name, names in surveyed.missing.items()
    ]
    if surveyed.obstacle is not None:
        lines += ["", f"`up` would refuse ({surveyed.obstacle.code}): {surveyed.obstacle.message}"]
        lines += [surveyed.obstacle.hint]
    elif not made.something:
        lines += ["", f"{made.instance} is as declared: `up` would change nothing"]
    return lines


def _save(path: Path, data: dict[str, Any]) -> None:
    try:
        path.write_text(as_json(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StackError(
            "file-unusable", f"{path}: {error.strerror or error}", "name a file in a folder that can be written to"
        ) from error


def check_saved(path: Path, surveyed: Survey) -> None:
    """Raises `plan-stale` when the world is not as it was when the plan in `path` was saved."""
    now = plan_data(surveyed)
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if "command" in saved:  # the envelope of `plan --json`
            saved = saved["data"]
        basis, actions = saved["basis"], saved["actions"]
    except OSError as error:
        raise StackError("file-unusable", f"{path}: {error.strerror or error}", "name the file of a plan") from error
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
