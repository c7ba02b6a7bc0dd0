"""Keep a plan in a file, and refuse it once anything has changed."""

from __future__ import annotations

import json
from pathlib import Path

from stack.encoding import encoded
from stack.errors import StackError
from stack.files import explaining
from stack.report import as_json
from stack.results.plans import PlanResult
from stack.workflow.plan_result import planned_changes
from stack.workflow.planning import PlanContext


def save_plan(path: Path, plan: PlanResult) -> None:
    """Write a plan to a file. Raises `file-unusable`."""
    with explaining("file-unusable", path, "name a file in a folder that can be written to"):
        path.write_text(as_json(encoded(plan), indent=2) + "\n", encoding="utf-8")


def check_saved(path: Path, context: PlanContext) -> None:
    """Raise `plan-stale` if anything has changed since the plan in `path` was saved."""
    now = planned_changes(context)
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
    if basis == now.basis and saved["instance"] == now.instance:
        return
    if (groups := saved.get("groups", now.groups)) != now.groups:
        options = [f"--with {name}" if on else f"--without {name}" for name, on in groups.items()]
        raise StackError(
            "plan-stale",
            f"the plan in {path} was made with other groups on; nothing was done",
            f"`stackctl up {' '.join([*options, '--plan', str(path)])}`",
        )
    moved = [f"{action.component}: {action.action}" for action in now.actions if encoded(action) not in actions]
    raise StackError(
        "plan-stale",
        f"the plan in {path} is stale: something has changed since it was made; nothing was done",
        "look with `stackctl plan`, and save it again if that is what you want",
        "\n".join(["now it would be:", *moved] if moved else []),
    )
