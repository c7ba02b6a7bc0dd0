"""Plan by comparison of what is declared, what was made, and what is there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace

from stack.applied import Applied, Done, Files, changed_files, files_digest, short_name
from stack.errors import StackError
from stack.fields import Fields, fingerprint
from stack.frozen import dataclass
from stack.initial import InitialFile
from stack.migrations import Migration, find_conflict
from stack.observed import ComponentState, Observed
from stack.plan import Action, DataEffect, Difference, Plan
from stack.references import PARAMETER_FILE
from stack.workload import VolumeId

_MOST_FILES = 3


@dataclass(frozen=True)
class DeclaredJob:
    """A job as it is declared. `stores`: the data store of each volume that it may change."""

    always: bool
    stores: Mapping[VolumeId, str]


@dataclass(frozen=True)
class Declared:
    """What is declared, whether or not it changed.

    `components`: the fields of each. `stores`: each volume by the engine's name for it. `sources`: the files of each
    component that has a source. `secrets`: a digest of each secret that exists, and `reads`: the secrets that each
    component reads. `migrations`, `extensions`, `users`, further `databases` and `initial` files: of each database.
    `relaxed`: what each container may do beyond the hardening, for people. `builds`: the engine makes an image of a
    source, and does not run in it. `replicas`: how many run of each component of which not just one does. `jobs`: the
    components that end. `off`: the group of each component that is off, and `resting` that of each of their stores.
    `stopped`: the components that do not run on purpose.
    """

    components: Mapping[str, Fields]
    stores: Mapping[VolumeId, str] = field(default_factory=dict)
    sources: Mapping[str, Files] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    migrations: Mapping[str, Sequence[Migration]] = field(default_factory=dict)
    extensions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    initial: Mapping[str, Sequence[InitialFile]] = field(default_factory=dict)
    relaxed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    builds: bool = True
    replicas: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, DeclaredJob] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)
    resting: Mapping[str, str] = field(default_factory=dict)
    stopped: Collection[str] = ()

    def exists(self, component: str, observed: Observed) -> bool:
        """Whether the data of a database is there."""
        return self.stores.get(VolumeId.of(component)) in observed.stores


@dataclass(frozen=True)
class _Changes:
    """What changed since the last `up`, of the components concerned: the files of a source, and the secrets."""

    sources: Mapping[str, Sequence[str]]
    secrets: Mapping[str, Sequence[str]]


def make_plan(
    instance: str,
    engine: str,
    declared: Declared,
    made: Applied,
    observed: Observed,
    contents: Mapping[str, str] | None = None,
) -> Plan:
    """Compare what is declared with what was made and with what is there. `contents`: see `DataEffect`, by component.

    Migrations that conflict with those applied are left out, all of them: `find_migration_conflict` says why.
    """
    changes = _Changes(
        _changed_sources(declared, made, observed), changed_secrets(declared.reads, made.secrets, declared.secrets)
    )
    actions = [_action(name, declared, changes, made, observed) for name in declared.components]
    actions += [
        _removal(name, declared, made, state)
        for name, state in observed.components.items()
        if name not in declared.components
    ]
    had = _applied_migrations(declared, made, observed)
    return Plan(
        instance,
        engine,
        tuple(actions),
        data=tuple(_data(declared, observed, contents or {})),
        migrations=_lacking_migrations(declared, had),
        extensions=_lacking(declared, declared.extensions, made.extensions, observed),
        databases=_lacking(declared, declared.databases, made.databases, observed),
        initial=_initial(declared, made, observed),
        superusers=_superusers(declared, made, observed),
        missing=_missing_migrations(declared, had),
        unsure=frozenset(
            name for name in declared.migrations if declared.exists(name, observed) and name not in made.migrations
        ),
    )


def find_migration_conflict(declared: Declared, made: Applied, observed: Observed) -> StackError | None:
    """Return why the migrations of a database can't be applied, as far as is known which it has had."""
    had = _applied_migrations(declared, made, observed)
    return next(
        filter(None, (find_conflict(name, had[name], each) for name, each in declared.migrations.items())), None
    )


def changed_secrets(
    reads: Mapping[str, Sequence[str]], before: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the secrets that changed, of each component that reads one of them. `before` and `now`: digests."""
    # One whose file is gone is made again, with another value.
    changed = {each for each in {**now, **before} if before.get(each, now.get(each)) != now.get(each)}
    concerned = {name: [each for each in ids if each in changed] for name, ids in reads.items()}
    return {name: ids for name, ids in concerned.items() if ids}


def _changed_sources(declared: Declared, made: Applied, observed: Observed) -> dict[str, list[str]]:
    """Return the changed files of each source; an empty list if it was never built."""
    changed = {}
    for name, files in declared.sources.items():
        known = made.sources.get(name)
        if declared.builds and (known is None or name not in observed.images):
            changed[name] = list[str]()
        elif known is not None and (different := changed_files(known, files)):
            changed[name] = different
    return changed


def _applied_migrations(declared: Declared, made: Applied, observed: Observed) -> dict[str, Mapping[str, str]]:
    """Return the checksums of the migrations that each database has had, as far as is known of the data that exists."""
    return {
        name: made.migrations.get(name, {}) if declared.exists(name, observed) else {} for name in declared.migrations
    }


def _lacking_migrations(declared: Declared, had: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    if any(find_conflict(name, had[name], each) for name, each in declared.migrations.items()):
        return {}
    lacking = {
        name: tuple(each.name for each in migrations if each.name not in had[name])
        for name, migrations in declared.migrations.items()
    }
    return {name: names for name, names in lacking.items() if names}


def _missing_migrations(declared: Declared, had: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    missing = {
        name: tuple(each for each in had[name] if each not in {file.name for file in migrations})
        for name, migrations in declared.migrations.items()
    }
    return {name: names for name, names in missing.items() if names}


def _lacking(
    declared: Declared, wanted: Mapping[str, Sequence[str]], made: Mapping[str, Sequence[str]], observed: Observed
) -> dict[str, tuple[str, ...]]:
    """Return what each database is to have and was not made for the data that exists."""
    lacking = {}
    for name, names in wanted.items():
        had = made.get(name, ()) if declared.exists(name, observed) else ()
        lacking[name] = tuple(each for each in names if each not in had)
    return {name: names for name, names in lacking.items() if names}


def _initial(declared: Declared, made: Applied, observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return the files of each database that is new, or was when the `up` began that ran not all of them."""
    return {
        name: tuple(each.name for each in files)
        for name, files in declared.initial.items()
        if files and (name in made.initialising or not declared.exists(name, observed))
    }


def _superusers(declared: Declared, made: Applied, observed: Observed) -> dict[str, str]:
    return {
        name: user
        for name, user in declared.users.items()
        if declared.exists(name, observed)
        if short_name(declared.stores[VolumeId.of(name)]) not in made.separated
    }


def _data(declared: Declared, observed: Observed, contents: Mapping[str, str]) -> Iterator[DataEffect]:
    for volume, store in declared.stores.items():
        yield DataEffect(store, "keep" if store in observed.stores else "create", contents.get(volume, ""))
    for store in sorted(observed.stores.difference(declared.stores.values())):
        group = declared.resting.get(store)
        yield DataEffect(store, "keep", f"its group {group} is off" if group else "nothing that is declared uses it")


def _removal(name: str, declared: Declared, made: Applied, state: ComponentState) -> Action:
    if name in declared.off:
        return Action(name, "remove", (f"its group {declared.off[name]} is off",))
    known = state.declaration in made.fields
    reason = "it is no longer declared" if known else "it was added by hand and is not declared"
    return Action(name, "remove", (reason,), drift=not known)


def _action(name: str, declared: Declared, changes: _Changes, made: Applied, observed: Observed) -> Action:
    builds = declared.builds and name in changes.sources
    if name in declared.jobs:
        action = _job(name, declared, changes, made, observed)
    else:
        action = _judged(name, declared, changes, made, observed)
    is_made = action.kind in ("create", "recreate", "rebuild", "run")
    relaxed = declared.relaxed.get(name, ()) if is_made else ()
    scaled = _scaled(declared, name, observed.components.get(name))
    differences = action.differences if scaled is None else (*action.differences, scaled)
    builds = builds and (name not in declared.jobs or action.kind == "run")
    return replace(action, relaxed=relaxed, differences=differences, builds=builds)


def _scaled(declared: Declared, name: str, state: ComponentState | None) -> Difference | None:
    """Return how the number of replicas differs of a component that exists."""
    there, wanted = len(state.each) if state else 0, declared.replicas.get(name, 1)
    return Difference("replicas", str(there), str(wanted)) if there not in (0, wanted) else None


def _job(name: str, declared: Declared, changes: _Changes, made: Applied, observed: Observed) -> Action:
    """Run a job unless its last run is known to have been done with the same, on the same data."""
    state, done = observed.components.get(name), made.jobs.get(name)
    reasons = ["it runs at each `up`"] if declared.jobs[name].always else []
    differences: tuple[Difference, ...] = ()
    if state is not None and state.state == "exited" and state.exit_code:
        reasons.append(f"it failed the last time (exit code {state.exit_code})")
    elif state is not None and state.running:
        reasons.append("its last run was not seen to end")
    elif done is None:
        there = any(store in observed.stores for store in declared.jobs[name].stores.values())
        reasons.append(f"it has not been done{' on this data' if there else ''} yet")
    elif not reasons:
        reasons = [*_changed_inputs(name, done, declared, changes, observed)]
        before, fields = made.fields.get(done.declaration), declared.components[name]
        if before is not None:
            differences = _differences(before, fields)
        elif done.declaration != fingerprint(fields):
            reasons.append("its declaration changed")
    return Action(name, "run" if reasons or differences else "keep", tuple(reasons), differences)


def _changed_inputs(name: str, done: Done, declared: Declared, changes: _Changes, observed: Observed) -> Iterator[str]:
    """Say what changed besides the declaration since a job was done."""
    for volume, store in declared.jobs[name].stores.items():
        if store not in observed.stores:
            yield f"the data of {volume.component} is made again"
        elif done.stores.get(volume) != short_name(store):
            yield f"the data of {volume.component} was replaced"
    for secret in declared.reads.get(name, ()):
        if done.secrets.get(secret) != declared.secrets.get(secret):
            yield f"the secret {secret} changed"
    wanted = observed.images.get(name)
    if done.source != files_digest(declared.sources.get(name, {})):
        yield _files(changes.sources[name]) if changes.sources.get(name) else "its source changed"
    elif done.image and wanted is not None and wanted != done.image:
        yield "its image is another one now"


def _judged(name: str, declared: Declared, changes: _Changes, made: Applied, observed: Observed) -> Action:
    state = observed.components.get(name)
    if state is None:
        return _creation(name, made, observed)
    fields, wanted = declared.components[name], fingerprint(declared.components[name])
    if changed := next((each for each in state.each if each.declaration != wanted), None):
        return _change(name, fields, made, changed)
    if drifted := next(filter(None, (_drifted(fields, each) for each in state.each)), None):
        return Action(name, "recreate", ("it was changed by hand",), drifted, drift=True, forced=True)
    if name in changes.secrets:
        reasons = tuple(f"the secret {secret.removeprefix(PARAMETER_FILE)} changed" for secret in changes.secrets[name])
        return Action(name, "recreate", reasons, forced=True)
    if name in changes.sources:
        reasons = (_files(changes.sources[name]),)
        return Action(name, "rebuild", reasons) if declared.builds else Action(name, "restart", reasons, forced=True)
    image = observed.images.get(name)
    if image is not None and any(each.image_id != image for each in state.each):
        return Action(name, "recreate", (f"the image {state.image} is another one now",))
    if not all(each.running for each in state.each):
        return _start(name, declared, made, state)
    if _scaled(declared, name, state) is None:
        return Action(name, "keep")
    drift = made.replicas.get(name, 1) == declared.replicas.get(name, 1)
    return Action(name, "scale", ("it was changed by hand",) if drift else (), drift=drift)


def _creation(name: str, made: Applied, observed: Observed) -> Action:
    if made.wanted in ("up", "stopped") and name in made.components:
        what = "it was" if observed.exists else "everything was"
        return Action(name, "create", (f"{what} removed by hand",), drift=True)
    return Action(name, "create", ("it was taken down" if made.wanted == "down" else "it is not there yet",))


def _change(name: str, fields: Fields, made: Applied, state: ComponentState) -> Action:
    before = made.fields.get(state.declaration)
    if before is None:
        return Action(name, "recreate", ("it was made from a declaration that is not known here",), drift=True)
    return Action(name, "recreate", differences=_differences(before, fields))


def _differences(before: Fields, after: Fields) -> tuple[Difference, ...]:
    return tuple(
        Difference(key, before.get(key), after.get(key))
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key)
    )


def _drifted(fields: Fields, state: ComponentState) -> tuple[Difference, ...]:
    """Of the fields of which the engine can tell what they are now."""
    return _differences(state.live, {key: fields[key] for key in state.live if key in fields})


def _start(name: str, declared: Declared, made: Applied, state: ComponentState) -> Action:
    if made.wanted == "stopped" or name in declared.stopped:
        return Action(name, "start", ("it is stopped",))
    return Action(name, "start", (f"it does not run: {state.summary}",), drift=made.wanted == "up")


def _files(names: Sequence[str]) -> str:
    if not names:
        return "its source was not built yet"
    shown = ", ".join(names[:_MOST_FILES])
    more = len(names) - _MOST_FILES
    return f"its source changed: {shown}" + (f" and {more} more" if more > 0 else "")
