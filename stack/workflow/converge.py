"""Make an instance as declared, and judge it: what `up` does, and every command that ends with the instance up."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stack.applied import Applied
from stack.engines.process import FinishedJob
from stack.errors import StackError
from stack.observed import Observed
from stack.progress import Progress, Replacing
from stack.report import Report
from stack.results.instances import UpResult
from stack.style import DIM, GREEN, Style
from stack.verdict import Verdict, await_ready, await_well, remember_ready
from stack.verdict.done import with_done
from stack.workflow.building import build_images
from stack.workflow.externals import check_externals
from stack.workflow.identities import identities, secret_digests
from stack.workflow.journal import Journal
from stack.workflow.loops import restart_lines, stop_loops
from stack.workflow.opening import Opened
from stack.workflow.parameters import keep_secrets
from stack.workflow.plan_result import planned_changes
from stack.workflow.plan_text import change_lines, missing_lines
from stack.workflow.planning import PlanContext, compute_plan
from stack.workflow.ports import automatic_lines, check_ports
from stack.workflow.preparing import Preparation
from stack.workflow.rotation import finish_rotations
from stack.workflow.saved_plan import check_saved
from stack.workflow.summary import component_statuses, url_lines
from stack.workload import TARGETS

# The code of a server that refused to make any data.
_REFUSED_TO_MAKE = "image-differs"


@dataclass(frozen=True)
class UpOptions:
    """Options of `up`. `timeout`: the seconds from the start of the components until they are ready.

    `saved`: the file of a plan that must not have become stale. `rollback`: put back what ran if what is new fails.
    """

    timeout: float = 120
    saved: Path | None = None
    rollback: bool = False


def converge(opened: Opened, journal: Journal, progress: Progress, options: UpOptions) -> Report[UpResult]:
    """Plan, build, start and judge an instance whose lock is held. What `journal` has is saved after each step."""
    _finish_stopping(opened, journal.applied, progress)
    finish_rotations(opened, journal, progress, options.timeout)
    _trim_secrets(opened, progress)
    context = compute_plan(opened, journal.applied)
    if options.saved is not None:
        check_saved(options.saved, context)
    if context.blocker is not None:
        raise context.blocker
    check_externals(opened)
    before = context.observed
    if not context.plan.something:
        with FinishedJob() as nothing:
            verdict = await_ready(opened.instance, opened.engine, nothing, before, options.timeout, progress)
        keep_secrets(opened.state, opened.instance.stack, opened.instance.parameters)
        if opened.state.record() != opened.record:
            opened.state.remember(opened.record)
        _record_unrecorded(opened, journal, context, verdict.observed)
        remember_ready(opened.state, verdict.observed)
        return _report(opened, journal, context, verdict)
    opened.engine.check()
    check_ports(opened, before)
    replaced = [each.target for each in context.plan.changes if each.kind in ("recreate", "rebuild", "restart")]
    progress = Replacing(progress, replaced)
    progress.announce(lambda style: "\n".join(change_lines(context, style)))
    secrets = _prepare(opened, journal, context)
    build_images(opened, journal, context, progress)
    began = time.monotonic()
    preparation = Preparation(opened, journal, context, secrets)
    try:
        preparation.run(options.timeout, progress)
        with opened.engine.apply(
            context.plan.forced.difference(preparation.started, opened.instance.stack.jobs)
        ) as job:
            verdict = await_ready(
                opened.instance, opened.engine, job, before, options.timeout, progress, replaced=context.plan.replaced
            )
    except StackError as error:
        there = opened.engine.observe()
        known = preparation.secrets([name for name, state in there.components.items() if state.id])
        made = _made(journal.applied, context, there, known, preparation.reached)
        journal.save(made.unmade(_unmade(opened, context, there)) if error.code == _REFUSED_TO_MAKE else made)
        if options.rollback and opened.engine.revisions.exists():
            raise _rolled_back(opened, error, progress, options.timeout) from error
        raise _left(opened, stop_loops(opened.engine, before, error)) from error
    made = _made(journal.applied, context, opened.engine.observe(), secrets)
    journal.save(made.verified(identities(opened, secrets)))
    remember_ready(opened.state, verdict.observed)
    opened.engine.revisions.save()
    verdict = replace(verdict, seconds=time.monotonic() - began)
    return _report(opened, journal, context, verdict, preparation.done)


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


def _rolled_back(opened: Opened, error: StackError, progress: Progress, timeout: float) -> StackError:
    """Put back what ran before, and return the same failure."""
    progress.step(f"{opened.instance.name}: putting back what ran before, because {error.message}")
    with opened.engine.revisions.restore() as job:
        await_well(opened.engine, job, timeout, progress)
    return error.hinting(f"what ran before runs again; {error.hint}")


def _trim_secrets(opened: Opened, progress: Progress) -> None:
    """Make every reader of a secret file read the same, before the plan compares the secrets."""
    stack = opened.instance.stack
    for secret_id in sorted({secret.id for target in TARGETS for secret in stack.secrets(target)}):
        if opened.state.trim_secret(secret_id):
            progress.step(f"{secret_id}: removed the newline at the end of its file, which is no part of the secret")


def _prepare(opened: Opened, journal: Journal, context: PlanContext) -> dict[str, str]:
    """Make what the engine will read: the record, and the secrets that do not exist yet. Returns all their digests."""
    opened.state.remember(opened.record)
    stack = opened.instance.stack
    keep_secrets(opened.state, stack, opened.instance.parameters)
    for secret in (*stack.secrets("container"), *stack.secrets(opened.engine.traits.target)):
        opened.state.provide_secret(secret.id)
    secrets = secret_digests(opened)
    declared, observed = context.declared, context.observed
    new = {name: each for name, each in identities(opened, secrets).items() if not declared.exists(name, observed)}
    journal.save(journal.applied.intended(declared.components.values(), new, context.plan.initial))
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
    prepared: Mapping[str, tuple[str, ...]] | None = None,
) -> Report[UpResult]:
    instance = opened.instance
    before = with_done(instance, context.observed, journal.applied.jobs)
    same = before.processes == verdict.observed.processes and not prepared
    notices = opened.notices

    def text(style: Style) -> str:
        done = "was up already, nothing changed" if same else f"is up ({style.took(verdict.seconds)})"
        lines = [f"{instance.name} {style.paint(done, None if same else GREEN)}", *url_lines(instance, style)]
        was_done = [f"{each}: {what}" for each, all_done in (prepared or {}).items() for what in all_done]
        below = [*restart_lines(verdict.restarted), *automatic_lines(opened), *was_done, *missing_lines(context)]
        lines += [style.wrapped(line, "  ") for line in below]
        engine = style.wrapped(f"engine: {opened.choice}", "  ")
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
