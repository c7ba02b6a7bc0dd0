"""Make an instance as declared, and judge it: what `up` does, and every command that ends with the instance up."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from stack.applied import Applied
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.frozen import dataclass
from stack.observed import Observed
from stack.progress import Progress, Replacing
from stack.report import Report
from stack.results.lifecycle import UpResult
from stack.style import DIM, GREEN, Style
from stack.verdict.done import with_done, with_stopped
from stack.verdict.ready import remember_ready
from stack.verdict.watch import Verdict, await_ready, await_well
from stack.workflow.building import build_images
from stack.workflow.externals import check_externals
from stack.workflow.identities import identities, secret_digests
from stack.workflow.journal import Journal
from stack.workflow.loops import restart_lines, stop_loops
from stack.workflow.losses import tell_losses
from stack.workflow.opened import Opened
from stack.workflow.parameters import keep_secrets
from stack.workflow.part import EVERYTHING, Part, left_out, noting_stopped
from stack.workflow.plan_result import planned_changes
from stack.workflow.plan_text import applied_lines, change_lines, missing_lines
from stack.workflow.planning import PlanContext, compute_plan
from stack.workflow.ports import automatic_lines, check_ports
from stack.workflow.preparing import Preparation
from stack.workflow.rotation import finish_rotations
from stack.workflow.saved_plan import check_saved
from stack.workflow.standbys import protect
from stack.workflow.summary import component_statuses, located, url_lines
from stack.workload import TARGETS

# The code of a server that refused to make any data.
_REFUSED_TO_MAKE = "image-differs"
T = TypeVar("T")


@dataclass(frozen=True)
class UpOptions:
    """Options of `up`. `timeout`: the seconds from the start of the components until they are ready.

    `saved`: the file of a plan that must not have become stale. `rollback`: put back what ran if what is new fails.
    `part`: what is made and judged; all else is left as it is. `strict`: refuse what the engine does not do.
    """

    timeout: float = 120
    saved: Path | None = None
    rollback: bool = False
    part: Part = EVERYTHING
    strict: bool = False


def converge(opened: Opened, journal: Journal, progress: Progress, options: UpOptions) -> Report[UpResult]:
    """Plan, build, start and judge an instance whose lock is held. What `journal` has is saved after each step."""
    tell_losses(opened, progress, options.strict)
    _finish_stopping(opened, journal.applied, progress)
    finish_rotations(opened, journal, progress, options.timeout)
    _trim_secrets(opened, progress)
    part = options.part
    context = compute_plan(opened, journal.applied, part=part)
    if options.saved is not None:
        check_saved(options.saved, context)
    if context.blocker is not None:
        raise context.blocker
    before = context.observed
    opened = noting_stopped(opened, left_out(opened.instance, part, journal.applied, before))
    check_externals(opened, part)
    if not context.plan.something:
        with FinishedJob() as nothing:
            verdict = await_ready(
                opened.instance, opened.engine, nothing, before, options.timeout, progress, only=part.names
            )
        protect(opened, verdict.observed, progress, part)
        keep_secrets(opened.state, opened.instance.stack, opened.instance.parameters)
        if opened.state.record() != opened.record:
            opened.state.remember(opened.record)
        if not part.names:
            _record_unrecorded(opened, journal, context, verdict.observed)
        remember_ready(opened.state, verdict.observed, part.names)
        return _report(opened, journal, context, _whole(opened, verdict, part, journal), part)
    opened.engine.check()
    check_ports(opened, before, part)
    replaced = [each.target for each in context.plan.changes if each.kind in ("recreate", "rebuild", "restart")]
    progress = Replacing(progress, replaced)
    progress.announce(lambda style: "\n".join(change_lines(context, style)))
    secrets, sources = _prepare(opened, journal, context, part), journal.applied.sources
    preparation = Preparation(opened, journal, context, secrets, part)
    try:
        with preparation.ahead():
            build_images(opened, journal, context, progress, part)
    except StackError as error:
        if preparation.started:
            _record_reached(opened, journal, context, preparation)
        raise error
    began = time.monotonic()
    try:
        preparation.run(options.timeout, progress)
        with _apply(opened, context, preparation, part) as job:
            verdict = await_ready(
                opened.instance,
                opened.engine,
                job,
                before,
                options.timeout,
                progress,
                replaced=context.plan.replaced,
                only=part.names,
                verified=preparation.verified,
            )
    except StackError as error:
        _record_reached(opened, journal, context, preparation, unmade=error.code == _REFUSED_TO_MAKE)
        if options.rollback and opened.engine.revisions.exists():
            journal.save(journal.applied.built(_of(sources, context.plan.builds)))
            raise _rolled_back(opened, error, progress, options) from error
        raise _left(opened, stop_loops(opened.engine, before, error)) from error
    there = opened.engine.observe()
    known = preparation.secrets([name for name, state in there.components.items() if state.id])
    made = _made(journal.applied, context, there, known if part.names else secrets, preparation.reached)
    journal.save(made.verified(_of(identities(opened, secrets), part.of(opened.instance.stack.names))))
    remember_ready(opened.state, verdict.observed, part.names)
    opened.engine.revisions.save()
    protect(opened, verdict.observed, progress, part)
    verdict = replace(_whole(opened, verdict, part, journal), seconds=time.monotonic() - began)
    return _report(opened, journal, context, verdict, part, preparation.done)


def _apply(opened: Opened, context: PlanContext, preparation: Preparation, part: Part) -> Job:
    """Start to make what is left to make, once all is prepared for it."""
    stack = opened.instance.stack
    again, lasting = context.plan.forced.difference(preparation.started, stack.jobs), part.of(stack.lasting)
    if part.names and not lasting:
        return FinishedJob()
    if context.plan.restarted:
        opened.engine.stop(context.plan.restarted)
    return opened.engine.apply(again, lasting if part.names else (), preparation.started)


def _record_reached(
    opened: Opened, journal: Journal, context: PlanContext, preparation: Preparation, unmade: bool = False
) -> None:
    """Record how far an `up` came that failed; if `unmade`, without the data that a server refused to make."""
    there = opened.engine.observe()
    known = preparation.secrets([name for name, state in there.components.items() if state.id])
    made = _made(journal.applied, context, there, known, preparation.reached)
    journal.save(made.unmade(_unmade(opened, context, there)) if unmade else made)


def _whole(opened: Opened, verdict: Verdict, part: Part, journal: Journal) -> Verdict:
    """Return a verdict with the components that it is not about, as they are."""
    if not part.names and not opened.instance.stopped:
        return verdict
    there = _told(opened, journal, opened.engine.observe())
    components = {**there.components, **verdict.observed.components}
    return replace(verdict, observed=replace(there, components=components))


def _told(opened: Opened, journal: Journal, observed: Observed) -> Observed:
    """Return what is observed with the words that no engine knows."""
    instance = opened.instance
    return with_stopped(instance, with_done(instance, observed, journal.applied.jobs))


def _of(found: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {name: each for name, each in found.items() if name in names}


def _unmade(opened: Opened, context: PlanContext, there: Observed) -> list[str]:
    """Name what had no data before this `up`, and may have refused to make it."""
    well = [name for name, state in there.components.items() if state.well]
    names = [component.name for component in opened.instance.stack if component.data is not None]
    return [name for name in names if name not in well and not context.declared.exists(name, context.observed)]


def _finish_stopping(opened: Opened, applied: Applied, progress: Progress) -> None:
    """Stop what an interrupted command was stopping: it may be about to exit, and looks healthy until then."""
    if applied.wanted not in ("stopped", "down"):
        return
    if any(state.running for state in opened.engine.observe().components.values()):
        progress.step(f"{opened.instance.name}: ending what was being stopped")
        opened.engine.stop()


def _left(opened: Opened, error: StackError) -> StackError:
    """Return the same failure, with what can be done about what is left of it."""
    if not opened.engine.revisions.exists():
        return error
    return error.hinting(f"{error.hint}; `stackctl up --rollback` puts back what ran before")


def _rolled_back(opened: Opened, error: StackError, progress: Progress, options: UpOptions) -> StackError:
    """Put back what ran before, and return the same failure."""
    progress.step(f"{opened.instance.name}: putting back what ran before, because {error.message}")
    only = options.part.names
    with opened.engine.revisions.restore(only) as job:
        await_well(opened.engine, job, options.timeout, progress, only=only)
    return error.hinting(f"what ran before runs again; {error.hint}")


def _trim_secrets(opened: Opened, progress: Progress) -> None:
    """Make every reader of a secret file read the same, before the plan compares the secrets."""
    stack = opened.instance.stack
    for secret_id in sorted({secret.id for target in TARGETS for secret in stack.secrets(target)}):
        if opened.state.trim_secret(secret_id):
            progress.step(f"{secret_id}: removed the newline at the end of its file, which is no part of the secret")


def _prepare(opened: Opened, journal: Journal, context: PlanContext, part: Part) -> dict[str, str]:
    """Make what the engine will read: the record, and the secrets that do not exist yet. Returns all their digests."""
    opened.state.remember(opened.record)
    stack = opened.instance.stack
    keep_secrets(opened.state, stack, opened.instance.parameters)
    for secret in (*stack.secrets("container"), *stack.secrets(opened.engine.traits.target)):
        opened.state.provide_secret(secret.id)
    secrets = secret_digests(opened)
    declared, observed = context.declared, context.observed
    made = _of(identities(opened, secrets), part.of(stack.names))
    new = {name: each for name, each in made.items() if not declared.exists(name, observed)}
    others = [name for name in journal.applied.initialising if not part.of([name])]
    journal.save(journal.applied.intended(declared.components.values(), new, [*others, *context.plan.initial]))
    return secrets


def _record_unrecorded(opened: Opened, journal: Journal, context: PlanContext, observed: Observed) -> None:
    """Record all that is ready if an `up` that was killed after it made that did not: later changes show by it."""
    secrets = context.declared.secrets
    made = _made(journal.applied, context, observed, secrets).verified(identities(opened, secrets))
    before = journal.applied
    if (before.wanted, set(before.components), before.secrets) != (made.wanted, set(made.components), made.secrets):
        journal.save(made)


def _made(
    applied: Applied,
    context: PlanContext,
    there: Observed,
    secrets: Mapping[str, str],
    reached: Collection[str] | None = None,
) -> Applied:
    """Return what is recorded once the engine was told to make all that is declared, or only `reached`.

    What was not reached still runs from its earlier source. `secrets`: the digests of those that are in use.
    """
    declared = context.declared
    kept = {name: files for name, files in applied.sources.items() if name in declared.sources}
    new = {name: files for name, files in declared.sources.items() if reached is None or name in reached}
    return applied.made(
        {name: state.declaration for name, state in there.components.items() if state.id},
        [*declared.components.values()],
        kept if declared.builds else {**kept, **new},
        secrets,
        declared.replicas,
    )


def _report(
    opened: Opened,
    journal: Journal,
    context: PlanContext,
    verdict: Verdict,
    part: Part,
    prepared: Mapping[str, tuple[str, ...]] | None = None,
) -> Report[UpResult]:
    instance = located(opened.instance, verdict.observed)
    before = _told(opened, journal, context.observed)
    same = before.processes == verdict.observed.processes and not prepared
    notices = opened.notices

    def text(style: Style) -> str:
        whom, are = ", ".join(part.asked) or instance.name, "are" if len(part.asked) > 1 else "is"
        took = f"({style.took(verdict.seconds)})"
        done = f"restarted {took}" if part.again else f"{are} up {took}"
        if same:
            done = f"{'were' if are == 'are' else 'was'} up already, nothing changed"
        lines = [f"{whom} {style.paint(done, None if same else GREEN)}", *url_lines(instance, style, part.names)]
        was_done = [f"{each}: {what}" for each, all_done in (prepared or {}).items() for what in all_done]
        was_done = [*(applied_lines(context.plan) if part.again else []), *was_done]
        below = [*restart_lines(verdict.restarted), *automatic_lines(opened), *was_done, *missing_lines(context)]
        lines += [style.wrapped(line, "  ") for line in below]
        engine = style.wrapped(f"engine: {opened.where}", "  ")
        notes = [style.wrapped(style.paths(notice), "  note: ", "    ") for notice in notices]
        return "\n".join([*lines, style.paint(engine, DIM), *notes])

    data = UpResult(
        instance=instance.name,
        engine=opened.engine.name,
        engine_reason=opened.choice.reason or None,
        changed=not same,
        urls=instance.urls,
        automatic_ports={name: instance.ports[name] for name in opened.automatic},
        notices=tuple(notices),
        components=component_statuses(instance, verdict.observed),
        restarted=verdict.restarted,
        plan=planned_changes(context),
    )
    return Report.drawn("up", text, data)
