"""Describe what the last `up` made, field by field, and of what. Each step of a command gives the next value. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

from stack.fields import Fields, digest, fingerprint
from stack.frozen import dataclass
from stack.workload import VolumeId

Wanted = Literal["up", "stopped", "down"]


@dataclass(frozen=True)
class FileState:
    """A file as it was: size in bytes, time of its last change in nanoseconds, mode, SHA-256 of what it holds."""

    size: int
    changed: int
    mode: int
    digest: str


Files = Mapping[str, FileState]
"""By path, relative to a folder, with `/`."""


@dataclass(frozen=True)
class Done:
    """A run of a job that ended with 0: from what it ran, so that a change of any of that shows.

    `declaration`: the fingerprint of its fields. `ended`: when, ISO 8601. `source`: a digest of its files. `secrets`: a
    digest of each that it read. `stores`: the data store of each volume that it may have changed. `image`: its id.
    """

    declaration: str
    ended: str
    source: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True)
class Applied:
    """Nothing of it is needed to run: without it a plan can only say less of why.

    `fields`: those behind each fingerprint in use. `sources`: the files that each component was last made from.
    `secrets`: a digest of each. `data`: with which names and password each data store was made, by component.
    `migrations`: the checksums of those that each database has had, by their names. `extensions`: those that were made.
    `databases`: the further ones that were made. `initialising`: the databases that are new, and whose initial files
    have not all run.
    `separated`: the data stores whose declared user is known to be no superuser.
    `wanted`: the state in which a command left the instance. `components`: those that there were then. `kept`: the
    data stores that nothing uses and `undo` may need, each with the moment of the snapshot that was made of it (`made`)
    and a digest of its `password`. `replicas`: how many there were of each component of which there was not just one.
    `jobs`: the last run of each job, if it ended with 0.
    """

    wanted: Wanted | None = None
    components: Sequence[str] = ()
    fields: Mapping[str, Fields] = field(default_factory=dict)
    sources: Mapping[str, Files] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Fields] = field(default_factory=dict)
    migrations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kept: Mapping[str, Fields] = field(default_factory=dict)
    extensions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    separated: Sequence[str] = ()
    databases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    initialising: Sequence[str] = ()
    replicas: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, Done] = field(default_factory=dict)

    def wanting(self, wanted: Wanted) -> Applied:
        """Note the state in which a command leaves the instance: `stop` and `down` are no drift."""
        return replace(self, wanted=wanted)

    def intended(self, declared: Iterable[Fields], new: Mapping[str, Fields], initial: Collection[str] = ()) -> Applied:
        """Note what is about to be made, so that after an interruption the next plan can tell what was made of what.

        `new`: how the data of each component that has none yet will be made. Its user is never a superuser. `initial`:
        the components that have initial files to run.
        """
        fields = {**self.fields, **{fingerprint(each): each for each in declared}}
        known = replace(self, fields=fields, data={**self.data, **new}, initialising=[*initial])
        return known.demoted(each["store"] for each in new.values())

    def unmade(self, components: Collection[str]) -> Applied:
        """Note that the data of these was not made after all."""
        return replace(self, data={name: made for name, made in self.data.items() if name not in components})

    def demoted(self, stores: Iterable[str]) -> Applied:
        """Note that the declared user of these data stores is no superuser."""
        separated = dict.fromkeys([*self.separated, *map(short_name, stores)])
        return replace(self, separated=[*separated])

    def built(self, sources: Mapping[str, Files]) -> Applied:
        """Note that the images of these components were built, of their sources as they were read."""
        return replace(self, sources={**self.sources, **sources})

    def extended(self, component: str, extensions: Iterable[str]) -> Applied:
        """Note that a database has got these extensions."""
        had = dict.fromkeys([*self.extensions.get(component, ()), *extensions])
        return replace(self, extensions={**self.extensions, component: [*had]})

    def with_databases(self, component: str, databases: Iterable[str]) -> Applied:
        """Note that a server has got these further databases."""
        had = dict.fromkeys([*self.databases.get(component, ()), *databases])
        return replace(self, databases={**self.databases, component: [*had]})

    def initialised(self, component: str) -> Applied:
        """Note that all initial files of a database have run."""
        return replace(self, initialising=[each for each in self.initialising if each != component])

    def migrated(self, component: str, checksums: Mapping[str, str]) -> Applied:
        """Note all migrations that a database has had by now."""
        return replace(self, migrations={**self.migrations, component: checksums})

    def begun(self, job: str) -> Applied:
        """Note that a job is about to run: until its end was seen, it is not done."""
        return replace(self, jobs={name: done for name, done in self.jobs.items() if name != job})

    def done(self, job: str, done: Done) -> Applied:
        """Note that a job ended with 0."""
        return replace(self, jobs={**self.jobs, job: done})

    def made(
        self,
        there: Mapping[str, str],
        declared: Collection[Fields],
        sources: Mapping[str, Files],
        secrets: Mapping[str, str],
        replicas: Mapping[str, int] | None = None,
    ) -> Applied:
        """Note that all was made as declared, whether it works or not, and forget what nothing is made from any more.

        `there`: the components that exist now, each with the fingerprint of what it was made from. `sources`: what
        each component with a source is made from.
        """
        used = {*there.values(), *map(fingerprint, declared), *(done.declaration for done in self.jobs.values())}
        fields = {mark: each for mark, each in self.fields.items() if mark in used}
        known = replace(self, wanted="up", components=[*there], fields=fields, sources=sources, secrets=secrets)
        return replace(known, replicas=dict(replicas or {}))

    def verified(self, now: Mapping[str, Fields]) -> Applied:
        """Note that each database was found ready: it is as declared, if it was not known how its data was made."""
        new = {name: each for name, each in now.items() if self.origin(name, each["store"]) is None}
        return replace(self, data={**self.data, **new})

    def rotated(
        self, secrets: Mapping[str, str], data: Mapping[str, Fields], passwords: Collection[str] = ()
    ) -> Applied:
        """Note that databases have another password. No job runs again for `passwords`, the secrets of these."""
        new = {each: secrets[each] for each in passwords}
        jobs = {
            name: replace(done, secrets={each: new.get(each, value) for each, value in done.secrets.items()})
            for name, done in self.jobs.items()
        }
        return replace(self, secrets=secrets, data={**self.data, **data}, jobs=jobs)

    def switched(
        self,
        names: Collection[str],
        data: Mapping[str, Fields],
        in_use: Collection[str],
        retired: Mapping[str, Fields],
    ) -> Applied:
        """Note that components use other data stores now.

        `in_use`: all stores of the instance from now on. `retired`: those that are kept for `undo`, as in `kept`. Which
        migrations, extensions and databases the new data has had is recorded in that data alone, and what jobs did to
        it nowhere.
        """
        return replace(
            self,
            data={**self.data, **data},
            migrations={name: each for name, each in self.migrations.items() if name not in names},
            extensions={name: each for name, each in self.extensions.items() if name not in names},
            databases={name: each for name, each in self.databases.items() if name not in names},
            initialising=[each for each in self.initialising if each not in names],
            jobs={name: done for name, done in self.jobs.items() if not _concerns(done, names)},
            kept={store: each for store, each in self.kept.items() if store not in in_use} | dict(retired),
        )

    def origin(self, component: str, store: str) -> Fields | None:
        """Return how the data of a component in this store was made; None if that is not known.

        An entry for another store of it is none: a switch to that store may have been interrupted before this was
        written too.
        """
        made = self.data.get(component)
        short = short_name(store)
        return made if made is not None and made.get("store", short) == short else None


def short_name(store: str) -> str:
    """Return the name of a data store without its folder, which may be moved."""
    return store.rpartition("/")[2]


def changed_files(before: Files, now: Files) -> list[str]:
    """The paths that are new, gone, or hold something else."""
    return [path for path in sorted({*before, *now}) if _essence(before.get(path)) != _essence(now.get(path))]


def files_digest(files: Files) -> str:
    """Return a digest that is another once `changed_files` finds anything."""
    return digest("".join(f"{path}\0{_essence(state)}\n" for path, state in sorted(files.items())))


def _concerns(done: Done, components: Collection[str]) -> bool:
    """Say whether a job may have changed the data of any of these components."""
    return any(VolumeId(volume).component in components for volume in done.stores)


def _essence(state: FileState | None) -> tuple[int, str] | None:
    return None if state is None else (state.mode, state.digest)
