"""What `up` would do, and why: values that say it of each component, of its data, and of all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Literal, TypeVar

from stack.fields import is_hidden, readable
from stack.frozen import dataclass

Kind = Literal["create", "recreate", "rebuild", "restart", "start", "scale", "remove", "run", "keep"]

T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """A field that was made with another value than it is declared with; None: it is not there."""

    field: str
    before: str | None
    after: str | None

    def shown(self, value: str | None) -> str | None:
        if value is None:
            return None
        return "***" if is_hidden(self.field) else readable(self.field, value)

    def __str__(self) -> str:
        name = self.field.replace(".", " ", 1)
        if is_hidden(self.field):
            return f"{name} changed"
        before, after = self.shown(self.before), self.shown(self.after)
        if before is None:
            return f"{name} is new: {after}"
        if after is None:
            return f"{name} is gone: {before}"
        return f"{name} {before} → {after}"


@dataclass(frozen=True)
class Action:
    """What happens to one component.

    `drift`: because of a change made by hand, not of the declaration. `forced`: to the engine, which
    compares configurations, it is as declared. `builds`: first an image is made of its source. `relaxed`: what a
    container that is made may do beyond the hardening, for people.
    """

    target: str
    kind: Kind
    reasons: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    drift: bool = False
    forced: bool = False
    builds: bool = False
    relaxed: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        return "; ".join([*self.reasons, *map(str, self.differences)])

    def __str__(self) -> str:
        return f"{self.target}: {self.kind}" + (f", because {self.why}" if self.why else "")


@dataclass(frozen=True)
class DataEffect:
    """What happens to a data store. No plan of `up` ever deletes any. `content`: what it has now, for people."""

    store: str
    effect: Literal["create", "keep"]
    content: str = ""

    def __str__(self) -> str:
        done = {"create": "is made, empty", "keep": "is kept"}[self.effect]
        return f"{self.store}: {done}" + (f" ({self.content})" if self.content else "")


@dataclass(frozen=True)
class Plan:
    """All actions of an `up`, in the order of the declaration, and their consequences for data.

    `migrations`: the names of those that each database is still to have, `extensions` and further `databases` the same.
    `initial`: the files that each new database is made with. `superusers`: the
    declared user of each database that is still to become an ordinary one. `missing`: the names of the migrations that
    a database has had and that are no longer in its folder. `unsure`: the databases whose data alone knows which it has
    had, as after a restore.
    """

    instance: str
    engine: str
    actions: tuple[Action, ...]
    data: tuple[DataEffect, ...] = ()
    migrations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    superusers: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    databases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    initial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def part(self, names: Collection[str], stores: Collection[str], again: Collection[str] = ()) -> Plan:
        """Return the plan of these components alone, which have these data stores.

        Those of `again` are restarted, also if there is nothing else to do to them.
        """
        return replace(
            self,
            actions=tuple(
                replace(each, kind="restart", reasons=("you asked for it",))
                if each.kind == "keep" and each.target in again
                else each
                for each in self.actions
                if each.target in names
            ),
            data=tuple(each for each in self.data if each.effect == "keep" or each.store in stores),
            migrations=_of(self.migrations, names),
            extensions=_of(self.extensions, names),
            superusers=_of(self.superusers, names),
            databases=_of(self.databases, names),
            initial=_of(self.initial, names),
            missing=_of(self.missing, names),
        )

    @property
    def restarted(self) -> frozenset[str]:
        """The components that are stopped and started as they are."""
        return frozenset(each.target for each in self.actions if each.kind == "restart" and not each.forced)

    @property
    def something(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes or self.prepared)

    @property
    def prepared(self) -> frozenset[str]:
        """The databases in which something is done before what uses them is made."""
        return frozenset([*self.migrations, *self.extensions, *self.superusers, *self.databases, *self.initial])

    @property
    def changes(self) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if action.kind != "keep")

    @property
    def forced(self) -> frozenset[str]:
        """The components that the engine would leave as they are."""
        return frozenset(action.target for action in self.actions if action.forced)

    @property
    def replaced(self) -> frozenset[str]:
        """The components of which what runs now goes, whether or not something takes its place."""
        return frozenset(
            each.target for each in self.actions if each.kind in ("recreate", "rebuild", "restart", "remove")
        )

    @property
    def builds(self) -> tuple[str, ...]:
        """The components whose source may have to be built."""
        return tuple(action.target for action in self.actions if action.builds)


def _of(found: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {name: each for name, each in found.items() if name in names}
