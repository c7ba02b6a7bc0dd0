"""`stackctl up --local COMPONENT`: run an app as a process of this machine, beside the rest that `up` started."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from stack.engines import one_offs
from stack.errors import StackError, UsageError
from stack.report import Report
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.local import check_own_port, find_app, local_name, require_used, run_here, runs_locally
from stack.workflow.opening import look


def run_in_place(settings: Settings, name: str, announce: Callable[[str], None]) -> Report[Nothing]:
    """Run the command of a component on this process's own streams until it ends; the report carries its exit code.

    `announce` says that it begins. All else stays as it is when it ends.
    """
    opened = look(settings)
    component = find_app(opened, name)
    require_used(opened, opened.engine.observe(), name)
    if runs_locally(opened, name):
        raise UsageError(f"{name} runs as a local process already", "end that first, by Ctrl-C in its terminal")
    check_own_port(opened, name)
    with one_offs.held(opened.state.folder, local_name(name)), opened.engine.local(name) as local:
        if not local.command:
            raise StackError(
                "declaration-invalid",
                f"{opened.instance.stack.name}/{name}/command: is missing; a local process has no image that names one",
                f"say how it starts in its source folder: {type(component).__name__}({name!r}, command=[…]); or run a "
                f"command of yours by `stackctl run --local {name} -- …`",
            )
        announce(f"{name} runs here as `{shlex.join(local.command)}`; Ctrl-C ends it alone")
        answer = run_here(name, local.command, local.variables, folder=opened.instance.source(name))
    text = (
        f"{name} has ended ({answer.exit_code}); everything else is still up. `stackctl up` runs {name} with it again, "
        "and `stackctl stop` stops all"
    )
    return Report("up", text, Nothing(), exit_code=answer.exit_code)
