"""Give databases other passwords, in step with the files of their secrets and with what uses them.

The data, the file and the app can't change at one point in time. So the new password is kept beside the old one until
all have it: a run after a kill in between carries on with the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from stack.comparison import changed_secrets
from stack.component import Component
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError, UsageError
from stack.fields import digest
from stack.frozen import dataclass
from stack.instance import Instance
from stack.observed import Observed
from stack.progress import Progress
from stack.references import ParameterSecret, SecretReference
from stack.verdict.watch import await_ready
from stack.workflow.awaiting import await_beside
from stack.workflow.identities import identities, secret_digests
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened, with_instance
from stack.workflow.parameters import GENERATED, generated, keep_secrets
from stack.workflow.planning import secrets_read
from stack.workflow.standbys import await_standbys, protect


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: the databases that have another password now, and the components restarted for it."""

    databases: tuple[str, ...]
    restarted: tuple[str, ...]


def lost_passwords(opened: Opened, database: Component) -> list[Component]:
    """Find the other databases that have data and no password: nothing starts before these have one too."""
    return [
        each
        for each in opened.instance.stack
        if each.login is not None and each.name != database.name
        if opened.engine.volumes.has_data(each.name) and not opened.state.has_secret(each.login.secret.id)
    ]


def rotate_all(
    opened: Opened, journal: Journal, databases: Sequence[Component], progress: Progress, timeout: float
) -> Rotated:
    """Give databases other passwords, record that, and restart what needs it. Carries on with what was begun."""
    engine, state = opened.engine, opened.state
    before, logins = engine.observe_all(), {each.name: each.login for each in databases if each.login}
    for database in databases:
        if not engine.volumes.has_data(database.name):
            raise StackError(
                "instance-down",
                f"there is no data of {database.name} yet",
                "`stackctl up` makes it, with a new password",
            )
    for each in opened.instance.stack.secrets(engine.traits.target):
        state.provide_secret(each.id)
    down = [each for each in databases if not _runs(before, each)]
    if down:
        progress.step(f"{named(down)}: starting, to change the password from inside")
        with engine.apply() as job:
            for database in down:
                _await_inside(opened, database, job, timeout)
    await_standbys(opened, [*logins], progress, timeout)
    for name, login in logins.items():
        new = state.coming_secret(login.secret.id)
        progress.step(f"{name}: changing the password")
        answer = login.change(engine.session(name), new)
        if not answer.ok:
            raise StackError(
                "query-failed",
                f"{name} did not take the new password",
                "nothing else was changed",
                answer.stderr,
            )
    # The password of a database comes last: a run after a kill goes by whether it is settled.
    for secret in _of_standbys(databases):
        state.coming_secret(secret.id)
        state.settle_secret(secret.id)
    for login in logins.values():
        state.settle_secret(login.secret.id)
    secrets, known = secret_digests(opened), journal.applied.secrets
    made = identities(opened, secrets)
    data = {database.name: made[database.name] for database in databases}
    rotated = journal.applied.rotated(secrets, data, [login.secret.id for login in logins.values()])
    # After a kill the plan finds by these that something has yet to be restarted.
    journal.save(replace(rotated, secrets=known))
    again = to_restart(opened, databases, engine.renew_secrets(), known, secrets)
    for name, why in again.items():
        progress.step(f"{name}: restarting, because {why}")
    with engine.apply([*again]) if again or down else FinishedJob() as job:
        verdict = await_ready(opened.instance, engine, job, before, timeout, progress, replaced=again)
    journal.save(rotated)
    protect(opened, verdict.observed, progress)
    if again:
        # A revision has its variables with the secrets that it was started with.
        engine.revisions.save()
    return Rotated(tuple(each.name for each in databases), tuple(again))


def rotate_parameter(opened: Opened, journal: Journal, name: str, progress: Progress, timeout: float) -> list[str]:
    """Generate another value of a parameter, and recreate what has it. Return the components that were.

    A run after a kill in between, or an `up`, carries on: what has the old value is recreated.
    """
    needed, given = opened.instance.stack.parameters[name], opened.instance.parameters
    if given[name].origin != GENERATED:
        raise UsageError(
            f"{name} is not generated, it is given by {given[name].origin}", "change it there, and run `stackctl up`"
        )
    new = replace(opened.instance, parameters={**given, name: generated()})
    opened = with_instance(opened, new)
    keep_secrets(opened.state, new.stack, new.parameters)
    before = opened.engine.observe()
    again = [user for user in needed.users if user in before.components]
    if again:
        progress.step(f"{', '.join(again)}: recreating, because {name} changed; requests in flight end")
        with opened.engine.apply(again) as job:
            await_ready(opened.instance, opened.engine, job, before, timeout, progress, replaced=again)
        opened.engine.revisions.save()
        secret = ParameterSecret.to(needed.parameter)
        digests = {**journal.applied.secrets, secret.id: digest(secret.value(new.parameters))}
        journal.save(journal.applied.rotated(digests, {}))
    return again


def to_restart(
    opened: Opened,
    databases: Sequence[Component],
    stale: Mapping[str, str],
    before: Mapping[str, str],
    now: Mapping[str, str],
) -> dict[str, str]:
    """Return the components that work with the new secrets only after a restart, and why.

    `before` and `now`: the digest of each secret. `stale`: the components that see another file, and why.
    """
    rotated = {each.login.secret.id for each in databases if each.login}
    changed = changed_secrets(secrets_read(opened), before, now)
    others = {name: [each for each in ids if each not in rotated] for name, ids in changed.items()}
    why = {name: f"the secret {' and '.join(ids)} changed" for name, ids in others.items() if ids}
    why |= stale
    for app in (each for database in databases for each in readers(opened.instance, database)):
        if holds(opened, app, rotated):
            why[app.name] = "it holds the password as a variable; its requests in flight end"
        elif not app.rereads_secrets:
            why[app.name] = "it reads its secrets only when it starts; its requests in flight end"
    # A job reads them when it runs.
    stack = opened.instance.stack
    return {name: why[name] for name in stack.names if name in why and name not in stack.jobs}


def holds(opened: Opened, component: Component, secrets: Collection[str]) -> bool:
    """Say whether a component has one of these secrets in a variable, which does not change while it runs."""
    workload = opened.instance.stack.workload(component.name, opened.engine.traits.target)
    return any(secret.id in secrets for secret in workload.revealed)


def finish_rotations(opened: Opened, journal: Journal, progress: Progress, timeout: float) -> None:
    """Carry on with what was interrupted."""
    begun = [
        each
        for each in opened.instance.stack
        if each.login is not None and opened.state.has_coming_secret(each.login.secret.id)
    ]
    if begun:
        rotate_all(opened, journal, begun, progress, timeout)


def _of_standbys(databases: Sequence[Component]) -> list[SecretReference]:
    """Return the passwords with which the standbys of databases log in, which both servers take when they start."""
    return [each.replication.secret for each in databases if each.replication is not None]


def _await_inside(opened: Opened, database: Component, job: Job, timeout: float) -> None:
    """Wait until the database answers on its own socket: by any other way it may ask for a password that is lost."""

    def late() -> StackError:
        return StackError(
            "not-ready",
            f"{database.name} did not answer within {timeout:g} s",
            f"look at `stackctl logs {database.name}`, and run this again",
        )

    await_beside(job, lambda: not _answers_inside(opened, database), timeout, late)


def _answers_inside(opened: Opened, database: Component) -> bool:
    running = _runs(opened.engine.observe(), database)
    return running and database.login is not None and database.login.answers(opened.engine.session(database.name))


def _runs(observed: Observed, database: Component) -> bool:
    state = observed.components.get(database.name)
    return state is not None and state.running


def readers(instance: Instance, database: Component) -> list[Component]:
    """Return the components that use a database."""
    return [each for each in instance.stack if database.name in each.informs]


def named(components: Sequence[Component]) -> str:
    """Join names for people: `web, worker and beat`."""
    names = [component.name for component in components]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
