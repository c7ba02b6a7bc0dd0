"""`stackctl run`: a command with all that a component has, in a container or as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from stack.applied import changed_files
from stack.component import Component
from stack.errors import StackError, UsageError
from stack.report import Report
from stack.results.access import ExecResult
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.finding import find_component, require_up
from stack.workflow.local import require_used
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.planning import read_sources


def run(
    settings: Settings, name: str, command: Sequence[str], capture: bool, warn: Callable[[str], None]
) -> Report[ExecResult | Nothing]:
    """Run a command beside a component, which need not run itself; the report carries its exit code.

    On this process's own streams, or with `capture` into the report. `warn`: of an image that is older than its source.
    """
    opened = look(settings)
    _check_has_no_server(find_component(opened.instance, name))
    observed = opened.engine.observe()
    require_up(opened.instance, observed)
    require_used(opened, observed, name)
    if _is_outdated(opened, name):
        warn(
            f"{name}: its source has changed since its image was built, and this runs what is in the image; "
            f"`stackctl up` builds it, and `stackctl run --local {name} -- …` runs the source as it is"
        )
    answer = opened.engine.run_one_off(name, command, capture)
    if not capture:
        return Report("run", "", Nothing(), exit_code=answer.exit_code)
    data = ExecResult(answer.exit_code, answer.stdout, answer.stderr)
    return Report("run", answer.stdout, data, exit_code=answer.exit_code, verbatim=True)


def _check_has_no_server(component: Component) -> None:
    """Raise if two that run on its volume at once could damage its data."""
    if component.data is not None:
        raise UsageError(
            f"{component.name} is a {component.role}: only one server may have its data, and a command of `run` has it "
            "too",
            f"run it in the server's own container or process: `stackctl exec {component.name} -- …`",
        )


def _is_outdated(opened: Opened, name: str) -> bool:
    """Say whether the source of a component was changed since its image was built, as far as that is known."""
    if not opened.engine.traits.builds or opened.instance.source(name) is None:
        return False
    applied = opened.state.applied()
    # What is wrong with a source is of no matter to an image that is built.
    with contextlib.suppress(StackError):
        known = applied.sources.get(name)
        return known is not None and bool(changed_files(known, read_sources(opened, applied)[name]))
    return False
