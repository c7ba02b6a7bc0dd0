"""Look at all that a plan depends on, and make it. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stack.applied import Applied, Files, Wanted, changed_files
from stack.errors import StackError
from stack.fields import Fields, digest, fingerprint
from stack.migrations import Migration, pending, read_migrations
from stack.observed import Observed
from stack.plan import Declared, Plan, make_plan
from stack.sources import check_names, check_source, read_files
from stack.workflow.access import DataAccess
from stack.workflow.opening import Opened
from stack.workload import TARGETS, VolumeId

# Of data that asks for none.
_NO_PASSWORD = "none"  # noqa: S105 - the word for it


@dataclass(frozen=True)
class Survey:
    """What there was when the plan was made.

    `migrations`: those that each database lacks. `declared_migrations`: all of its folder, as they were read.
    `missing`: the names of the migrations that a database has had and that are no longer in its folder. `unsure`: the
    databases whose data alone knows what it has had, as after a restore. `obstacle`: why `up` can't apply it.
    """

    plan: Plan
    observed: Observed
    applied: Applied
    fields: Mapping[str, Fields]
    sources: Mapping[str, Files]
    migrations: Mapping[str, tuple[Migration, ...]]
    declared_migrations: Mapping[str, tuple[Migration, ...]]
    missing: Mapping[str, tuple[str, ...]]
    unsure: frozenset[str]
    obstacle: StackError | None = None

    @property
    def basis(self) -> str:
        """Stands for all that the plan was made from: it is another one once the world has moved."""
        things = {name: (state.id, state.state, state.image_id) for name, state in self.observed.components.items()}
        wholes = [
            {name: fingerprint(fields) for name, fields in self.fields.items()},
            {name: [(path, state.digest) for path, state in files.items()] for name, files in self.sources.items()},
            things,
            dict(self.observed.images),
            sorted(self.observed.stores),
            {name: [each.checksum for each in migrations] for name, migrations in self.migrations.items()},
            {name: list(names) for name, names in self.plan.extensions.items()},
            dict(self.plan.superusers),
            self.obstacle.message if self.obstacle else None,
        ]
        return digest(json.dumps(wholes, sort_keys=True))


def survey(opened: Opened, holdings: bool = False) -> Survey:
    """The plan for an instance. With `holdings` it says what each database that runs holds, which takes a query."""
    engine, instance = opened.engine, opened.instance
    applied, observed, fields = opened.state.applied(), engine.observe_all(), engine.fields()
    sources, stores, secrets = read_sources(opened, applied), engine.volumes.declared(), secret_digests(opened)
    schemas = {each.name: each.schema for each in instance.stack if each.schema is not None}
    there = _declared_migrations(opened)
    made = {volume for volume, store in stores.items() if store in observed.stores}
    had = {name: applied.migrations.get(name, {}) if VolumeId.of(name) in made else {} for name in there}
    migrations, edited = _lacking(there, had)
    declared = Declared(
        components=fields,
        stores=stores,
        sources=_changed_sources(opened, applied, observed, sources),
        secrets=changed_secrets(opened, applied, secrets),
        migrations={name: tuple(each.name for each in lacked) for name, lacked in migrations.items()},
        extensions=_lacking_extensions(opened, applied, observed),
        superusers={
            name: schema.user
            for name, schema in schemas.items()
            if VolumeId.of(name) in made and _short(stores[VolumeId.of(name)]) not in applied.separated
        },
        builds=engine.traits.builds,
    )
    holds = _holdings(opened, observed) if holdings else {}
    plan = make_plan(instance.name, engine.name, declared, applied, observed, holds)
    here = {name: each for name, each in identities(opened, secrets).items() if VolumeId.of(name) in made}
    obstacle = find_obstacle(opened, applied, here) or edited
    unsure = frozenset(
        name for name in there if stores[VolumeId.of(name)] in observed.stores and name not in applied.migrations
    )
    return Survey(plan, observed, applied, fields, sources, migrations, there, _missing(there, had), unsure, obstacle)


def _declared_migrations(opened: Opened) -> dict[str, tuple[Migration, ...]]:
    """Of each database that names a folder of them."""
    stack = opened.instance.stack
    return {
        each.name: read_migrations(opened.instance.path(each.schema.migrations), f"{stack.name}/{each.name}/migrations")
        for each in stack
        if each.schema is not None and each.schema.migrations is not None
    }


def _lacking_extensions(opened: Opened, applied: Applied, observed: Observed) -> dict[str, tuple[str, ...]]:
    """Those that were never made in the data that is there, as far as is remembered of it."""
    stores, lacking = opened.engine.volumes.declared(), dict[str, tuple[str, ...]]()
    for each in opened.instance.stack:
        if each.schema is not None:
            had = applied.extensions.get(each.name, ()) if stores[VolumeId.of(each.name)] in observed.stores else ()
            if lacked := tuple(name for name in each.schema.extensions if name not in had):
                lacking[each.name] = lacked
    return lacking


def _missing(
    there: Mapping[str, tuple[Migration, ...]], had: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[str, ...]]:
    missing = {
        name: tuple(each for each in had[name] if each not in {file.name for file in files})
        for name, files in there.items()
    }
    return {name: names for name, names in missing.items() if names}


def _lacking(
    there: Mapping[str, tuple[Migration, ...]], had: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, tuple[Migration, ...]], StackError | None]:
    """Find those that each database lacks, as far as is remembered of it, and what is wrong with any."""
    lacking = {}
    for name, migrations in there.items():
        try:
            if lacked := pending(name, had[name], migrations):
                lacking[name] = lacked
        except StackError as error:
            return {}, error
    return lacking, None


def check_sources(opened: Opened) -> None:
    """Raise `DeclarationError` for a source that the engine can make nothing of."""
    for name, folder in _source_folders(opened).items():
        check_source(folder, _where(opened, name), opened.engine.traits.builds)


def _source_folders(opened: Opened) -> dict[str, Path]:
    names = opened.instance.stack.names
    return {name: folder for name in names if (folder := opened.instance.source(name)) is not None}


def _where(opened: Opened, name: str) -> str:
    return f"{opened.instance.stack.name}/{name}/source"


def read_sources(opened: Opened, applied: Applied) -> dict[str, Files]:
    """The files of each component that has a source; a folder that several share is read once.

    Raises `DeclarationError`.
    """
    check_sources(opened)
    folders, read = _source_folders(opened), dict[Path, Files]()
    for name, folder in folders.items():
        if folder not in read:
            known = applied.sources.get(name, {})
            read[folder] = read_files(folder, opened.instance.state.parent, known, _where(opened, name))
            if opened.engine.traits.builds:
                check_names(read[folder], _where(opened, name))
    return {name: read[folder] for name, folder in folders.items()}


def _changed_sources(
    opened: Opened, applied: Applied, observed: Observed, sources: Mapping[str, Files]
) -> dict[str, list[str]]:
    changed = {}
    for name, files in sources.items():
        known = applied.sources.get(name)
        if opened.engine.traits.builds and (known is None or name not in observed.images):
            changed[name] = list[str]()
        elif known is not None and (different := changed_files(known, files)):
            changed[name] = different
    return changed


def secret_digests(opened: Opened) -> dict[str, str]:
    """Of each secret that is there."""
    state = opened.state
    ids = {secret.id for target in TARGETS for secret in opened.instance.stack.secrets(target)}
    return {each: digest(state.secret(each).reveal()) for each in sorted(ids) if state.has_secret(each)}


def changed_secrets(opened: Opened, applied: Applied, now: Mapping[str, str]) -> dict[str, list[str]]:
    """Of each component that reads one: those that are not what they were at the last `up`."""
    # One that is gone is made anew, with another value.
    changed = [each for each in {**now, **applied.secrets} if applied.secrets.get(each, now.get(each)) != now.get(each)]
    reads = {name: _read_by(opened, name) for name in opened.instance.stack.names}
    return {name: concerned for name, ids in reads.items() if (concerned := [each for each in ids if each in changed])}


def _read_by(opened: Opened, name: str) -> list[str]:
    stack = opened.instance.stack
    target = opened.engine.traits.target
    return list(
        dict.fromkeys(each.id for each in (*stack[name].secrets(target), *stack.workload(name, target).secrets))
    )


def identities(opened: Opened, secrets: Mapping[str, str]) -> dict[str, Fields]:
    """With which names, version and password each component's data is made, and where; `secrets` has the digests."""
    stores = opened.engine.volumes.declared()
    return {
        component.name: {
            **component.data.identity(),
            "version": str(opened.engine.version(component.name) or ""),
            "store": _short(next(store for volume, store in stores.items() if volume.component == component.name)),
            "password": secrets.get(component.login.secret.id, "") if component.login else _NO_PASSWORD,
        }
        for component in opened.instance.stack
        if component.data is not None
    }


def remember_intended(opened: Opened, surveyed: Survey) -> None:
    """Before anything is made: whatever is killed from here on, the next plan can tell what was made of what."""
    known = surveyed.applied
    fields = {fingerprint(each): each for each in surveyed.fields.values()}
    stores = opened.engine.volumes.declared()
    new = {
        name: each
        for name, each in identities(opened, secret_digests(opened)).items()
        if stores[VolumeId.of(name)] not in surveyed.observed.stores
    }
    separated = [*known.separated, *(_short(stores[VolumeId.of(name)]) for name in new)]
    opened.state.remember_applied(
        replace(known, fields={**known.fields, **fields}, data={**known.data, **new}, separated=separated)
    )


def remember_separated(opened: Opened, names: Collection[str]) -> None:
    """The declared user of these databases is no superuser of the data that they have now."""
    known, stores = opened.state.applied(), opened.engine.volumes.declared()
    separated = dict.fromkeys([*known.separated, *(_short(stores[VolumeId.of(name)]) for name in names)])
    opened.state.remember_applied(replace(known, separated=[*separated]))


def remember_built(opened: Opened, surveyed: Survey) -> None:
    """The images are made of the sources as they were read."""
    known = opened.state.applied()
    built = {name: surveyed.sources[name] for name in surveyed.plan.builds}
    opened.state.remember_applied(replace(known, sources={**known.sources, **built}))


def remember_made(opened: Opened, surveyed: Survey) -> None:
    """All was made as declared, whether it works or not. Forgets what nothing is made from any more."""
    known, observed = opened.state.applied(), opened.engine.observe()
    used = {state.declaration for state in observed.components.values()}
    used |= {fingerprint(each) for each in surveyed.fields.values()}
    kept = {name: files for name, files in known.sources.items() if name in surveyed.sources}
    sources = kept if opened.engine.traits.builds else dict(surveyed.sources)
    opened.state.remember_applied(
        Applied(
            wanted="up",
            components=[*observed.components],
            fields={mark: each for mark, each in known.fields.items() if mark in used},
            sources=sources,
            secrets=secret_digests(opened),
            data=known.data,
            migrations=known.migrations,
            kept=known.kept,
            extensions=known.extensions,
            separated=known.separated,
        )
    )


def remember_proved(opened: Opened) -> None:
    """Each database was found ready: it is as declared, where it was not known how its data was made."""
    known = opened.state.applied()
    new = {
        name: each
        for name, each in identities(opened, secret_digests(opened)).items()
        if made_with(opened, known, name) is None
    }
    if new:
        opened.state.remember_applied(replace(known, data={**known.data, **new}))


def remember_wanted(opened: Opened, wanted: Wanted) -> None:
    """`stop` and `down` are no drift."""
    opened.state.remember_applied(replace(opened.state.applied(), wanted=wanted))


def try_remember_wanted(opened: Opened, wanted: Wanted) -> str:
    """The same for what stops all the same if its folder can't be written; say what that means, or nothing."""
    try:
        remember_wanted(opened, wanted)
    except StackError as error:
        return f"this can't be remembered ({error.message}): the next `plan` takes it for done by hand"
    return ""


def find_obstacle(opened: Opened, applied: Applied, identities: Mapping[str, Fields]) -> StackError | None:
    """What is declared for a database that has data, and its password, fit that data; else nothing is started."""
    for name, now in identities.items():
        made = made_with(opened, applied, name)
        component = opened.instance.stack[name]
        secret = opened.instance.secret_file(component.login.secret.id) if component.login else Path()
        if not now["password"]:
            return _secret_lost(name, secret)
        if made is None:
            continue
        if made["password"] != now["password"]:
            return _password_differs(name, secret)
        version = data_version(opened, name)
        if component.data and version is not None and str(version) != now["version"]:
            return version_differs(name, component.data.product, version, now["version"])
        for field in component.data.identity() if component.data else ():
            if made[field] != now[field]:
                return _identity_differs(name, field, made[field], now[field])
    return None


def made_with(opened: Opened, applied: Applied, name: str) -> Fields | None:
    """What is remembered of how the data of a database was made. Nothing where that is of another store of it: who
    lets a store take over may be killed before this is written too."""
    made = applied.data.get(name)
    store = _short(
        next(store for volume, store in opened.engine.volumes.declared().items() if volume.component == name)
    )
    return made if made is not None and made.get("store", store) == store else None


def _short(store: str) -> str:
    """The name of a store without its folder, which may be moved."""
    return store.rpartition("/")[2]


def data_version(opened: Opened, name: str) -> int | None:
    """The major version that made the data of a database: as it is seen, else as it is remembered."""
    made = made_with(opened, opened.state.applied(), name) or {}
    return opened.engine.volumes.version(name) or (int(made["version"]) if made.get("version") else None)


def version_differs(component: str, product: str, made: int, now: str) -> StackError:
    """The error if the data of a database is of another major version than `now`. Data goes to a newer one only."""
    hint = f"declare version={made} again"
    if made < int(now):
        hint = f"`stackctl upgrade {component} --to {now}` takes it along; or {hint}"
    else:
        hint += f"; no command takes data back to {now}"
    return StackError(
        "data-version",
        f"the data of {component} is of {product} {made}, and {now} is what would run; nothing was touched",
        hint,
    )


def _secret_lost(component: str, file: Path) -> StackError:
    return StackError(
        "secret-lost",
        f"there is data of {component} from an earlier `up`, but its password is gone: {file}",
        f"put the file back; or give the data a new password with `stackctl rotate {component}`",
    )


def _password_differs(component: str, file: Path) -> StackError:
    return StackError(
        "password-mismatch",
        f"the password in {file} is not the one that the data of {component} has",
        f"put the file back; or give the data a new password with `stackctl rotate {component}`",
    )


def _identity_differs(component: str, field: str, made: str, now: str) -> StackError:
    return StackError(
        "data-differs",
        f"the data of {component} was made for the {field} {made!r}, and {now!r} is declared; nothing was changed",
        f"declare {made!r} again, or make {now!r} yourself with `stackctl exec {component} -- psql`; "
        "to begin anew without the data, `stackctl reset`",
    )


def _holdings(opened: Opened, observed: Observed) -> dict[str, str]:
    running = [each for each in opened.instance.stack if each.name in observed.components]
    return {
        each.name: each.data.summary(DataAccess(opened.engine, each.name))
        for each in running
        if each.data is not None and observed.components[each.name].running
    }
