"""Run a command as a process of its own, with all that a component has; see `Engine.run_one_off`."""

from __future__ import annotations

from collections.abc import Sequence

from stack.capabilities import Completed
from stack.engines import one_offs, process
from stack.engines.embedded.launch import MARK
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.namespace import BindMounts, command_in_namespace
from stack.engines.embedded.session import open_session
from stack.engines.embedded.strays import end_strays
from stack.engines.embedded.user import RunAs
from stack.engines.embedded.waiting import wait_until
from stack.frozen import dataclass
from stack.instance import Instance

_TIMEOUT = 15.0


@dataclass(frozen=True)
class Place:
    """The home of an instance, its user, and what that user sees of root's files."""

    home: Home
    run_as: RunAs | None
    mounts: BindMounts


def run_one_off(
    instance: Instance, layout: Layout, at: Place, component: str, command: Sequence[str], capture: bool
) -> Completed:
    """Run a command and return how it ended; with `capture` with what it wrote.

    What it started in the background ends with it, as in a container, and what is left of others ends before.
    """
    end_strays(at.home.runs, lambda run: one_offs.is_one_off(run) and one_offs.is_left(instance.state, run))
    name = one_offs.new_name(component)
    session = open_session(instance, layout, component, at.run_as, None)
    environment = {**session.environment, MARK: str(at.home.run(name))}
    folder = instance.source(component) or at.home.folder
    with (
        one_offs.held(instance.state, name),
        command_in_namespace(command, folder, at.run_as, at.mounts) as words,
    ):
        try:
            if capture:
                return process.ask(component, words, environment, None)
            return Completed(process.attach(words, environment), "", "")
        finally:
            wait_until(lambda: not end_strays(at.home.runs, lambda run: run == name), _TIMEOUT)
