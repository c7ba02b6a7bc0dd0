"""Choose the components that a command is about, if that is not all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from stack.applied import Applied
from stack.errors import UsageError
from stack.frozen import dataclass
from stack.instance import Instance
from stack.observed import Observed
from stack.workflow.finding import find_component
from stack.workflow.opened import Opened, with_instance


@dataclass(frozen=True)
class Part:
    """The components that are planned, made and judged; all if none is named.

    `again`: those that are restarted. `asked`: those that a user named. `as_made`: those whose source is not looked at.
    `only_changed`: a job that runs at each `up` runs only if something of it changed.
    """

    names: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    as_made: frozenset[str] = frozenset()
    only_changed: bool = False

    def of(self, names: Iterable[str]) -> list[str]:
        """Return those of these components that are in the part."""
        return [name for name in names if not self.names or name in self.names]


EVERYTHING = Part()


def with_needed(instance: Instance, names: Collection[str]) -> Part:
    """Return the part of components and all that has to be up, or done, before them. Raises `service-unknown`."""
    for name in names:
        find_component(instance, name)
    order = instance.stack.order
    return Part(frozenset(names).union(*(order.below(name) for name in names)), asked=tuple(dict.fromkeys(names)))


def with_jobs(instance: Instance, names: Collection[str]) -> Part:
    """Return the part of components and the jobs that are done before them; all that is to run, if none is named.

    Raises `service-unknown`, and `UsageError` for a job, which `restart` does not run again.
    """
    order, jobs = instance.stack.order, instance.stack.jobs
    for name in names:
        if find_component(instance, name).name in jobs:
            raise UsageError(f"{name} is a job, which runs to its end", "`stackctl up` runs it once it changed")
    chosen = frozenset(names or (name for name in instance.expected if name not in jobs))
    before = (order.below(name).intersection(jobs) for name in chosen)
    return Part(chosen.union(*before), chosen, tuple(dict.fromkeys(names)), only_changed=True)


def noting_stopped(opened: Opened, names: Iterable[str]) -> Opened:
    """Return the same with the components that do not run on purpose; that is not recorded yet."""
    stopped = frozenset(names)
    noted = with_instance(opened, replace(opened.instance, stopped=stopped))
    return replace(noted, record=replace(noted.record, stopped=tuple(sorted(stopped))))


def left_out(instance: Instance, part: Part, applied: Applied, there: Observed) -> Collection[str]:
    """Return what does not run on purpose once a part is up: what was stopped before, and what never was up.

    What is missing of an instance that is up was removed by hand.
    """
    if not part.names:
        return ()
    had = applied.components if applied.wanted == "up" else ()
    absent = [name for name in instance.stack.names if name not in there.components and name not in had]
    return instance.stopped.union(absent).intersection(instance.stack.names).difference(part.names)
