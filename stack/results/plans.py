"""What `plan` reports, and `up` with what it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stack.frozen import dataclass
from stack.results.rehearsals import Rehearsal

ActionKind = Literal["create", "recreate", "rebuild", "restart", "start", "scale", "remove", "run", "keep"]


@dataclass(frozen=True)
class FieldDifference:
    """A declared field that differs from what the component was created with.

    `field`: its name.
    `before`: the value that the component has; null if it has none, `***` if it may be secret.
    `after`: the declared value; null if it is no longer declared, `***` if it may be secret.
    """

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class PlannedAction:
    """What `up` does to one component.

    `component`: its name.
    `action`: what is done; `keep` leaves it as it is, `scale` starts or removes some of its replicas, `run` runs a job
    to its end.
    `reasons`: why, as text for people.
    `differences`: the fields that differ.
    `drift`: whether the reason is a change by hand, and not one of the declaration.
    `builds`: whether an image is built of its source first.
    `relaxations`: what a container that is made may do beyond the hardening, as text for people.
    """

    component: str
    action: ActionKind
    reasons: tuple[str, ...]
    differences: tuple[FieldDifference, ...]
    drift: bool
    builds: bool
    relaxations: tuple[str, ...]


@dataclass(frozen=True)
class StoreEffect:
    """What `up` does to one data store.

    `store`: the engine's name for it: a volume or a directory.
    `effect`: `create` makes an empty one, `keep` leaves it as it is.
    `holds`: what it contains, as text for people; empty if that is not known.
    """

    store: str
    effect: Literal["create", "keep"]
    holds: str


@dataclass(frozen=True)
class Obstacle:
    """The error that `up` would end with.

    `code`: its code, as in docs/errors.md.
    `message`: what is wrong.
    `hint`: what to type or do.
    """

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class PlannedChanges:
    """What `up` does to an instance.

    `instance`: its name.
    `engine`: its engine.
    `changes`: whether `up` would change anything.
    `groups`: whether each group of components is on, with the options of the command.
    `actions`: an action for each component, in the order of the declaration.
    `data`: the effect on each data store.
    `migrations`: by database, the files that are still to be applied.
    `extensions`: by database, the PostgreSQL extensions that are still to be created.
    `databases`: by database server, the further databases that are still to be created.
    `initial_files`: by database, the files of `init` that it is still to be created with.
    `superusers`: by database, the declared user that is a superuser and becomes an ordinary user.
    `missing_migrations`: by database, the applied files that are no longer in its directory.
    `obstacle`: the error that `up` would end with, or null.
    `basis`: a digest of everything the plan was made from; it differs once anything has changed.
    """

    instance: str
    engine: str
    changes: bool
    groups: Mapping[str, bool]
    actions: tuple[PlannedAction, ...]
    data: tuple[StoreEffect, ...]
    migrations: Mapping[str, tuple[str, ...]]
    extensions: Mapping[str, tuple[str, ...]]
    databases: Mapping[str, tuple[str, ...]]
    initial_files: Mapping[str, tuple[str, ...]]
    superusers: Mapping[str, str]
    missing_migrations: Mapping[str, tuple[str, ...]]
    obstacle: Obstacle | None
    basis: str


@dataclass(frozen=True)
class PlanResult(PlannedChanges):
    """What `up` would do.

    `notices`: warnings about the stack file, as text for people.
    `externals`: what each server is that is used and not run by stackctl, as text for people.
    `rehearsal`: how the pending migrations went on a copy of the data, with `--rehearse`; else null.
    """

    notices: tuple[str, ...]
    externals: Mapping[str, str]
    rehearsal: Rehearsal | None
