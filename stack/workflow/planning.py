"""Gather all that a plan depends on, and make it. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import field
from pathlib import Path

from stack.applied import Applied, Files
from stack.carried import check_contents, check_mounts
from stack.comparison import Declared, DeclaredJob, find_migration_conflict, make_plan
from stack.errors import StackError
from stack.fields import digest, fingerprint
from stack.frozen import dataclass
from stack.initial import InitialFile, read_initial
from stack.migrations import Migration, read_migrations
from stack.observed import Observed
from stack.plan import Plan
from stack.sources import check_names, check_source, options, read_files
from stack.workflow.access import DataAccess, unsaved
from stack.workflow.blockers import find_blocker
from stack.workflow.identities import identities, secret_digests
from stack.workflow.opened import Opened, whole
from stack.workflow.part import EVERYTHING, Part
from stack.workload import VolumeId


@dataclass(frozen=True)
class PlanContext:
    """A plan, with what it was made from. `blocker`: why `up` can't apply it. `groups`: whether each is on."""

    plan: Plan
    declared: Declared
    observed: Observed
    blocker: StackError | None = None
    groups: Mapping[str, bool] = field(default_factory=dict)

    @property
    def basis(self) -> str:
        """A digest of all that the plan was made from: it changes as soon as any of that does."""
        declared, plan = self.declared, self.plan
        components = {name: (state.id, state.state, state.image_id) for name, state in self.observed.components.items()}
        inputs = [
            {name: fingerprint(fields) for name, fields in declared.components.items()},
            {name: [(path, state.digest) for path, state in files.items()] for name, files in declared.sources.items()},
            components,
            dict(self.observed.images),
            sorted(self.observed.stores),
            {
                name: [each.checksum for each in declared.migrations[name] if each.name in names]
                for name, names in plan.migrations.items()
            },
            {name: list(names) for name, names in plan.extensions.items()},
            {name: list(names) for name, names in plan.databases.items()},
            {name: [each.mark for each in declared.initial[name]] for name in plan.initial},
            dict(plan.superusers),
            self.blocker.message if self.blocker else None,
            *([[action.target, action.why] for action in plan.actions if action.kind == "run"]),
        ]
        return digest(json.dumps(inputs, sort_keys=True))


def compute_plan(opened: Opened, applied: Applied, contents: bool = False, part: Part = EVERYTHING) -> PlanContext:
    """Plan an `up` of an instance, or of a part. `contents`: say what each running database has: a query."""
    observed = opened.engine.observe_all()
    declared = _declared(opened, applied, part)
    described = {**(_contents(opened, observed) if contents else {}), **_unsaved(opened)}
    plan = make_plan(opened.instance.name, opened.engine.name, declared, applied, observed, described)
    if part.names:
        plan = plan.part(part.names, _stores(opened, declared, part.names), part.again)
    existing = {
        name: each for name, each in identities(opened, declared.secrets).items() if declared.exists(name, observed)
    }
    blocker = find_blocker(opened, applied, existing) or find_migration_conflict(declared, applied, observed)
    return PlanContext(plan, declared, observed, blocker, opened.groups)


def _stores(opened: Opened, declared: Declared, names: Collection[str]) -> set[str]:
    """Return the data stores that some components use."""
    stack, target = opened.instance.stack, opened.engine.traits.target
    used = {volume.id for name in names for volume in stack.workload(name, target).volumes}
    return {store for volume, store in declared.stores.items() if volume in used}


def _declared(opened: Opened, applied: Applied, part: Part) -> Declared:
    """Gather what is declared, with what it refers to: files, secrets and migrations."""
    engine, stack = opened.engine, opened.instance.stack
    fields, sources, stores = engine.fields(), read_sources(opened, applied, part), engine.volumes.declared()
    schemas = {each.name: each.schema for each in stack if each.schema is not None}
    return Declared(
        components=fields,
        stores=stores,
        sources=sources,
        secrets=secret_digests(opened),
        reads=secrets_read(opened),
        migrations=_migrations(opened),
        extensions={name: tuple(schema.extensions) for name, schema in schemas.items()},
        users={name: schema.user for name, schema in schemas.items()},
        databases={name: schema.databases for name, schema in schemas.items()},
        initial=_initial_files(opened),
        relaxed=relaxations(opened),
        builds=engine.traits.builds,
        replicas={name: count for name in stack.names if (count := stack.replicas(name)) != 1},
        jobs={name: _job(opened, name, stores, part) for name in stack.jobs},
        off=stack.off,
        resting=_resting(opened),
        stopped=opened.record.stopped,
    )


def relaxations(opened: Opened) -> dict[str, tuple[str, ...]]:
    """Return what each component may do beyond the safe defaults, as declared, for people.

    What hardens a container is nothing to a process.
    """
    stack, contained = opened.instance.stack, opened.engine.traits.target == "container"
    workloads = {name: stack.workload(name, "container") for name in stack.names}
    return {name: each.relaxed if contained else each.exposed for name, each in workloads.items()}


def _job(opened: Opened, name: str, stores: Mapping[VolumeId, str], part: Part) -> DeclaredJob:
    """Describe a job. It may change its own volumes, and through what it uses those of that."""
    stack, target = opened.instance.stack, opened.engine.traits.target
    workload = stack.workload(name, target)
    names = [name, *(each for each in stack.order.below(name) if each not in stack.jobs)]
    reached = {volume.id for each in names for volume in stack.workload(each, target).volumes}
    always = workload.once is not None and workload.once.always and not part.only_changed
    return DeclaredJob(always, {volume: store for volume, store in stores.items() if volume in reached})


def _resting(opened: Opened) -> dict[str, str]:
    """Return the group of each data store that belongs to a component that is off, or that only such ones share."""
    stack = opened.instance.stack
    if not stack.off:
        return {}
    declared = whole(opened).engine.volumes.declared().items()
    shared = stack.whole.shared_volumes
    owners = {volume: shared[volume].users[0] if volume in shared else volume.component for volume, _ in declared}
    return {store: stack.off[owners[volume]] for volume, store in declared if owners[volume] in stack.off}


def _migrations(opened: Opened) -> dict[str, tuple[Migration, ...]]:
    """Read the folder of migrations of each database that names one."""
    stack = opened.instance.stack
    return {
        each.name: read_migrations(opened.instance.path(each.schema.migrations), f"{stack.name}/{each.name}/migrations")
        for each in stack
        if each.schema is not None and each.schema.migrations is not None
    }


def _initial_files(opened: Opened) -> dict[str, tuple[InitialFile, ...]]:
    """List the files that each database which names a folder of them is made with."""
    stack = opened.instance.stack
    return {
        each.name: read_initial(opened.instance.path(each.schema.initial), f"{stack.name}/{each.name}/init")
        for each in stack
        if each.schema is not None and each.schema.initial is not None
    }


def secrets_read(opened: Opened) -> dict[str, list[str]]:
    """Return the secrets that each component reads."""
    stack, target = opened.instance.stack, opened.engine.traits.target
    read = {}
    for name in stack.names:
        workload = stack.workload(name, target)
        secrets = (*stack[name].secrets(target), *workload.secrets, *workload.revealed)
        read[name] = list(dict.fromkeys(each.id for each in secrets))
    return read


def check_sources(opened: Opened, part: Part = EVERYTHING) -> None:
    """Raise `DeclarationError` for a source that the engine can make nothing of, and for a file that is not there."""
    instance = opened.instance
    check_contents(instance.stack, instance.folder, instance.state.parent, instance.contents)
    check_mounts(instance.stack, instance.folder, instance.host)
    folders = _source_folders(opened)
    for name, folder in ((name, folders[name]) for name in part.of(folders)):
        check_source(folder, _where(opened, name), opened.engine.traits.builds, opened.instance.build(name).dockerfile)


def _source_folders(opened: Opened) -> dict[str, Path]:
    names = opened.instance.stack.names
    return {name: folder for name in names if (folder := opened.instance.source(name)) is not None}


def _where(opened: Opened, name: str) -> str:
    return f"{opened.instance.stack.name}/{name}/source"


def read_sources(opened: Opened, applied: Applied, part: Part = EVERYTHING) -> dict[str, Files]:
    """Read the files of each component that has a source; a folder that several share is read once.

    Of those that are not in the part they are as they were. Raises `DeclarationError`.
    """
    check_sources(opened, part)
    read: dict[tuple[Path, str], Files] = {}
    found = _source_folders(opened)
    folders = {
        name: (found[name], opened.instance.build(name).dockerfile)
        for name in part.of(found)
        if name not in part.as_made
    }
    for name, (folder, dockerfile) in folders.items():
        if (folder, dockerfile) not in read:
            known = applied.sources.get(name, {})
            files = read_files(folder, opened.instance.state.parent, known, _where(opened, name), dockerfile)
            read[folder, dockerfile] = files
            if opened.engine.traits.builds:
                check_names(files, _where(opened, name))
    others = {name: applied.sources[name] for name in found if name in applied.sources}
    return {**others, **{name: {**read[key], **_options(opened, name)} for name, key in folders.items()}}


def _options(opened: Opened, name: str) -> Files:
    return options(opened.instance.build(name)) if opened.engine.traits.builds else {}


def _unsaved(opened: Opened) -> dict[str, str]:
    return dict.fromkeys(unsaved(opened.instance.stack), "not saved: backup=False")


def _contents(opened: Opened, observed: Observed) -> dict[str, str]:
    running = [each for each in opened.instance.stack if each.name in observed.components]
    return {
        each.name: each.data.summary(DataAccess(opened.engine, each.name))
        for each in running
        if each.data is not None and observed.components[each.name].running
    }
