"""`stackctl up`: make the instance as declared, and say whether it works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stack.errors import StackError
from stack.ports import PortChoice
from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.settings import Settings
from stack.workflow.asked import AS_THEY_ARE, Switches
from stack.workflow.choosing import default_engine
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.local import find_app, left_to_this_machine, needing, rest_of
from stack.workflow.opened import on_next_engine
from stack.workflow.opening import change, look
from stack.workflow.parameters import Ask
from stack.workflow.parents import find_parent
from stack.workflow.part import with_needed
from stack.workflow.planning import check_sources
from stack.workflow.ports import registered


def up(
    settings: Settings,
    progress: Progress,
    ports: Mapping[str | None, PortChoice] | None = None,
    system_binaries: bool = False,
    options: UpOptions | None = None,
    ask: Ask | None = None,
    groups: Switches = AS_THEY_ARE,
    names: Sequence[str] = (),
    local: str | None = None,
    branch_of: str | None = None,
) -> Report[UpResult]:
    """Plan, build, start and judge. `groups` are turned on and off from now on.

    `names`: nothing is made but these components and what they need; all else is left as it is. `local`: a component
    that is stopped and left to a process of this machine, and with it what needs it.

    `branch_of`: a new instance begins with a copy of the data of this one.

    A new instance for which no engine was asked goes to the next one if an image is unavailable.
    """
    options = options or UpOptions()
    if branch_of is not None:
        settings = _begun(settings, branch_of, progress)
    with change(settings, progress, ports, system_binaries, ask=ask, groups=groups) as opened:
        if opened.choice.free and opened.engine.name != default_engine():
            progress.step(f"on the {opened.engine.name} engine ({opened.choice.reason})")
        options = replace(options, part=with_needed(opened.instance, names)) if names else options
        if local is not None:
            options = replace(options, part=rest_of(opened, find_app(opened, local).name))
            if needs := needing(opened, local):
                progress.step(f"{', '.join(needs)}: left as it is, because it needs {local} in its container")
        check_sources(opened, options.part)
        journal = Journal(opened.state)
        if not opened.state.exists():
            opened.engine.check()
        if local is not None:
            opened = left_to_this_machine(opened, local)
        try:
            with registered(opened, settings) as ready:
                return converge(ready, journal, progress, options)
        except StackError as error:
            other = on_next_engine(opened, error.message) if error.code == "image-unavailable" else None
            if other is None:
                raise
        progress.step(f"on the {other.engine.name} engine ({other.choice.reason})")
        other.engine.check()
        # What Docker made of it until here; it holds no data, for there was no instance before.
        opened.engine.destroy()
        with registered(other, settings) as ready:
            return converge(ready, journal, progress, options)


def _begun(settings: Settings, parent: str, progress: Progress) -> Settings:
    """Make a branch, unless the instance is there already; return the settings with its engine."""
    # It takes a while to import, and few begin so.
    from stack.workflow.beginning import branched

    opened = look(settings)
    if opened.state.exists() and not opened.state.unfinished:
        progress.step(f"{opened.instance.name}: is there already, so nothing is copied")
        return settings
    with branched(settings, find_parent(settings, parent), progress) as (new, copied):
        for line in copied.differs:
            progress.step(line)
        return replace(settings, engine=new.engine.name)
