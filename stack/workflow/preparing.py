"""Do what comes before a component is made or replaced: in databases, and by jobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from stack.applied import Done, files_digest, short_name
from stack.capabilities import Schema
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.fields import fingerprint
from stack.observed import ComponentState
from stack.progress import Progress
from stack.style import PLAIN
from stack.verdict.jobs import await_done
from stack.verdict.watch import await_verified
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.part import EVERYTHING, Part
from stack.workflow.planning import PlanContext
from stack.workflow.standbys import protect, replications
from stack.workload import VolumeId


class Preparation:
    """What an `up` does before the rest is made: `run` does it, and these say how far it came.

    `started`: the components that were made for it. `verified`: those that were found to work. `done`: what was done,
    for people, by component.
    """

    def __init__(
        self,
        opened: Opened,
        journal: Journal,
        context: PlanContext,
        secrets: Mapping[str, str],
        part: Part = EVERYTHING,
    ) -> None:
        """Take the digests of the secrets as they are now, and the part of the instance that is made."""
        self.started: frozenset[str] = frozenset()
        self.verified: frozenset[str] = frozenset()
        self._complete = False
        self.done: dict[str, tuple[str, ...]] = {}
        self._opened = opened
        self._journal = journal
        self._context = context
        self._secrets = secrets
        self._part = part
        plan = context.plan
        self._kept = {action.target for action in plan.actions if action.kind == "keep"}
        # What has to be done before what waits for it is made.
        self._pending = {*plan.prepared, *(action.target for action in plan.actions if action.kind == "run")}

    @property
    def reached(self) -> frozenset[str]:
        """The components that are as declared now, or are made so once this is complete."""
        every = frozenset(self._part.of(self._opened.instance.stack.names))
        return every if self._complete else self.started.union(self._kept)

    def secrets(self, there: Collection[str]) -> dict[str, str]:
        """Return the digest of each secret with which the components run that are `there`; empty if they differ.

        An empty one is no digest, so the next plan gives that secret to all that read it.
        """
        stack, before = self._opened.instance.stack, self._journal.applied.secrets
        lasting = set(there).difference(stack.jobs)
        readers = {name: ids for name, ids in self._context.declared.reads.items() if name in lasting}
        found = {}
        for secret, now in self._secrets.items():
            reading, had = {name for name, ids in readers.items() if secret in ids}, before.get(secret, now)
            if self.reached.issuperset(reading):
                found[secret] = now
            elif reading.isdisjoint(self.started):
                found[secret] = had
            else:
                found[secret] = now if had == now else ""
        return found

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """While images are built, make what needs none of them, if nothing of the instance is there yet.

        Otherwise nothing is touched before all is built, so that a build that fails leaves what ran.
        """
        with self._begin() as job:
            yield
            while (exit_code := job.wait(1)) is None:
                pass
            if exit_code:
                raise job.explain()

    def _begin(self) -> Job:
        stack, target = self._opened.instance.stack, self._opened.engine.traits.target
        if self._context.observed.exists or not self._context.plan.builds:
            return FinishedJob()
        built = {name for name in stack.names if stack.workload(name, target).image is None}
        return self._make(name for name in self._free() if built.isdisjoint({name, *stack.order.below(name)}))

    def run(self, timeout: float, progress: Progress) -> None:
        """Prepare each database and run each job that the plan names, in the order in which they need each other.

        What these need is made first, with all else that waits for none of them. No file of a migration is read again.
        Raises `roles-failed`, `extension-missing` and `extension-failed`, what `migrate` and `await_done` raise, and
        for a component that does not get ready what `await_ready` raises. What waits for it is as it was then.
        """
        stack = self._opened.instance.stack
        self._replicate(timeout, progress)
        for name in [each for each in stack.order.names if each in self._pending]:
            schema, job = stack[name].schema, name in stack.jobs
            needed = self._part.of(stack.order.below(name)) if job else [name]
            with self._making(needed) as making:
                self._await(needed, making, timeout, progress)
            if job:
                self.done[name] = (self._run_job(name, progress),)
            elif schema is not None and (what := self._prepare(name, schema, progress)):
                self.done[name] = tuple(what)
            self._pending.discard(name)
        self._complete = True

    def _making(self, needed: Iterable[str]) -> Job:
        """Make what is needed, unless it is there as declared."""
        if self.reached.union(self._opened.instance.stack.jobs).issuperset(needed):
            return FinishedJob()
        return self._make(self._free())

    def _free(self) -> list[str]:
        """Name the components that wait for nothing that has still to be done."""
        stack = self._opened.instance.stack
        return [name for name in self._part.of(stack.lasting) if self._pending.isdisjoint(stack.order.below(name))]

    def _replicate(self, timeout: float, progress: Progress) -> None:
        """Make the standbys with their primaries: a primary may wait for its standby, and with it all that writes."""
        found = replications(self._opened) if self._opened.engine.standbys is not None else {}
        waiting = {name: each.standby for name, each in found.items() if each.synchronous}
        names = self._part.of(each for pair in waiting.items() for each in pair)
        if self._kept.issuperset(names):
            return
        with self._make(names) as making:
            self._await(names, making, timeout, progress)
        protect(self._opened, self._opened.engine.observe(), progress, self._part)

    def _make(self, names: Iterable[str]) -> Job:
        if not (wanted := [*names]):
            return FinishedJob()
        again = self._context.plan.forced.intersection(wanted).difference(self.started)
        job = self._opened.engine.apply(again, wanted)
        self.started = self.started.union(wanted)
        return job

    def _await(self, names: Collection[str], making: Job, timeout: float, progress: Progress) -> None:
        stack = self._opened.instance.stack
        components = [stack[name] for name in stack.order.names if name in names and name not in stack.jobs]
        await_verified(
            self._opened.instance, self._opened.engine, components, making, self._context.observed, timeout, progress
        )
        self.verified = self.verified.union(each.name for each in components)

    def _run_job(self, name: str, progress: Progress) -> str:
        """Run a job to its end, record that it is done, and say so for people. What breaks it off stops it too."""
        instance, engine, journal = self._opened.instance, self._opened.engine, self._journal
        once = instance.stack.workload(name, engine.traits.target).once
        assert once is not None  # noqa: S101 - it is a job
        if name in journal.applied.jobs:
            journal.save(journal.applied.begun(name))
        progress.step(f"{name}: running to its end")
        began = time.monotonic()
        try:
            with engine.apply([name], [name]) as starting:
                state = await_done(instance, engine, starting, name, once.timeout, progress)
        except StackError as error:
            raise self._explained(name, error) from error
        except BaseException:
            engine.stop([name])
            raise
        ended = state.ended or datetime.now(UTC)
        journal.save(journal.applied.done(name, self._record(name, state, ended)))
        return f"done ({PLAIN.took(time.monotonic() - began)})"

    def _record(self, name: str, state: ComponentState, ended: datetime) -> Done:
        declared = self._context.declared
        return Done(
            declaration=fingerprint(declared.components[name]),
            ended=ended.isoformat(),
            source=files_digest(declared.sources.get(name, {})),
            secrets={each: self._secrets[each] for each in declared.reads[name] if each in self._secrets},
            stores={volume: short_name(store) for volume, store in declared.jobs[name].stores.items()},
            image=state.image_id,
        )

    def _explained(self, name: str, error: StackError) -> StackError:
        """Return the same failure, with what became of the components that wait for the job."""
        stack = self._opened.instance.stack
        waiting = [each for each in stack.names if name in stack.order.below(each)]
        if not waiting:
            return error
        there = [each for each in waiting if each in self._context.observed.components]
        what = f"{', '.join(there)} not replaced" if there else f"{', '.join(waiting)} not started"
        return error.hinting(f"{error.hint}; {what}")

    def _prepare(self, name: str, schema: Schema, progress: Progress) -> list[str]:
        """Do it in one database, save each step, and return what was done, for people."""
        opened, journal, context = self._opened, self._journal, self._context
        session, major = opened.engine.session(name), opened.engine.version(name) or 0
        done = []
        if name in context.plan.superusers:
            if (what := schema.separate(session, major)) is not None:
                done.append(what)
                progress.step(f"{name}: {what}")
            journal.save(journal.applied.demoted([context.declared.stores[VolumeId.of(name)]]))
        if databases := context.plan.databases.get(name):
            schema.make_databases(session, major, databases, progress)
            done.append(f"made the databases {', '.join(databases)}")
            journal.save(journal.applied.with_databases(name, databases))
        if extensions := context.plan.extensions.get(name):
            schema.make_extensions(session, major, extensions, progress)
            done.append(f"made the extensions {', '.join(extensions)}")
            journal.save(journal.applied.extended(name, extensions))
        if name in context.plan.initial:
            ran = schema.initialise(session, context.declared.initial[name], progress)
            done += [f"ran {', '.join(ran)}"] if ran else []
            journal.save(journal.applied.initialised(name))
        if name in context.plan.migrations:
            checksums, new = schema.migrate(session, tuple(context.declared.migrations[name]), progress)
            journal.save(journal.applied.migrated(name, checksums))
            done += [f"applied {', '.join(new)}"] if new else []
        return done
