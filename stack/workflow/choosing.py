"""Choose the engine of an instance: that which was asked for, its own, or the first that fits."""

from __future__ import annotations

from collections.abc import Callable

from stack.agreement import runs_on
from stack.engines import ENGINES
from stack.errors import StackError, UsageError
from stack.frozen import dataclass
from stack.instance import Instance
from stack.record import Record
from stack.settings import Settings


@dataclass(frozen=True)
class Choice:
    """Which engine an instance has. `free`: no option and no earlier `up` chose it, and another may take its place.

    `reason` says why it was chosen; empty for one that was asked for or is the instance's already.
    """

    engine: str
    reason: str = ""
    free: bool = False

    def __str__(self) -> str:
        return f"{self.engine} ({self.reason})" if self.reason else self.engine


Choose = Callable[[Instance], Choice]


def remembered_or_asked(settings: Settings, instance: Instance, record: Record) -> Choice | None:
    """Return the engine that was asked for, or that of an instance that exists; None if neither tells.

    Data does not move between engines by itself. Raises `engine-differs` if the two differ.
    """
    asked, own = settings.engine, record.engine
    for name in (asked, own):
        if name is not None and name not in ENGINES:
            raise UsageError(f"{name!r} is not an engine", f"the engines are: auto, {', '.join(ENGINES)}")
    if asked and own and asked != own:
        raise StackError(
            "engine-differs",
            f"{instance.name} is on the engine {own}, and its data with it; {asked} was asked for",
            "leave --engine and STACKCTL_ENGINE out, or take another --instance NAME; "
            f"`stackctl move --to {asked}` takes it there",
        )
    if own:
        return Choice(own)
    if record.host is None:
        return Choice(asked) if asked else None
    serving = [name for name, make in ENGINES.items() if make(instance).traits.serves]
    if asked not in (None, *serving):
        raise UsageError(
            f"the engine {asked} runs on this machine alone", f"leave --host out, or --engine {serving[0]}"
        )
    return Choice(asked or serving[0])


def fitting_engine(instance: Instance) -> Choice:
    """Choose the first engine if it answers within two seconds, else the next one that the stack can run on."""
    first = default_engine()
    engine = ENGINES[first](instance)
    try:
        engine.check(within=2)
    except StackError as error:
        other = next_engine(instance, first)
        if other is None:
            return Choice(first, "the stack can run on it alone")
        return Choice(other, f"no {engine.traits.program}: {error.message}", free=True)
    return Choice(first, f"{engine.traits.program} answers", free=True)


def default_engine() -> str:
    """Return the name of the engine that is chosen first."""
    return next(iter(ENGINES))


def next_engine(instance: Instance, name: str) -> str | None:
    """Return the first engine after `name` whose kind of workload every component has."""
    names = list(ENGINES)
    later = names[names.index(name) + 1 :]
    return next((each for each in later if _may_be_chosen(instance, each)), None)


def _may_be_chosen(instance: Instance, name: str) -> bool:
    """Say whether an engine that nothing names can run all components."""
    # One is made only to be asked, and loads what it needs for that.
    traits = ENGINES[name](instance).traits
    return traits.chosen_by_itself and all(
        runs_on(instance.stack, each, traits.target) for each in instance.stack.names
    )


def default_unseen(instance: Instance) -> Choice:
    """Choose the first engine unchecked, for a command that needs no engine that runs."""
    return Choice(default_engine(), "the default", free=True)
