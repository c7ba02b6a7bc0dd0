"""`stackctl rotate`: give a database another password, and everybody who uses it.

The data, the secret's file and the app can't be changed at one moment. So the new password is kept beside the old one
until all have it: who is killed in between runs it again, and it carries on with the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import replace

from stack.components.postgres import Postgres
from stack.components.webapp import WebApp
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError, UsageError
from stack.instance import Instance
from stack.operations.opening import Opened, find_component, open_instance
from stack.operations.planning import identities, secret_digests
from stack.progress import Progress
from stack.report import Report
from stack.settings import Settings
from stack.verdict import await_ready

_ITERATIONS = 4096
_INTERVAL = 0.25


def rotate(settings: Settings, name: str, progress: Progress, timeout: float = 120) -> Report:
    """Change the password of the database `name`. It works also where the old one is lost, from inside."""
    opened = open_instance(settings)
    database = find_component(opened.instance, name)
    if not isinstance(database, Postgres):
        raise UsageError(f"{name!r} is a {database.role}, which has no password to rotate", "name a database")
    opened.engine.check()
    with opened.state.locked(progress):
        _rotate(opened, database, progress, timeout)
    text = f"{name} has another password, and {_named(readers(opened.instance, database))} use it"
    return Report("rotate", text, {"instance": opened.instance.name, "component": name})


def _rotate(opened: Opened, database: Postgres, progress: Progress, timeout: float) -> None:
    engine, state, secret = opened.engine, opened.state, database.password.id
    before = engine.observe_all()
    if engine.stores()[database.name] not in before.stores:
        raise StackError(
            "instance-down", f"there is no data of {database.name} yet", "`stackctl up` makes it, with a new password"
        )
    state.provide_secret(secret)
    started = database.name not in before.components or not before.components[database.name].running
    if started:
        progress.step(f"{database.name}: starting, to change it from inside")
        with engine.apply() as job:
            _await_inside(opened, database, job, timeout)
    new = state.coming_secret(secret)
    progress.step(f"{database.name}: changing the password")
    answer = engine.server(database).run(database.query(password_statement(database, new)))
    if not answer.ok:
        raise StackError(
            "query-failed", f"{database.name} did not take the new password", "nothing else was changed", answer.stderr
        )
    state.settle_secret(secret)
    engine.renew_secrets()
    _remember(opened)
    again = [app.name for app in readers(opened.instance, database) if not app.rereads_secrets]
    with engine.apply(again) if again or started else FinishedJob() as job:
        await_ready(opened.instance, engine, job, before, timeout, progress)


def finish_rotations(opened: Opened, progress: Progress, timeout: float) -> None:
    """Carry on with what was interrupted."""
    for database in opened.instance.stack:
        if isinstance(database, Postgres) and opened.state.has_coming_secret(database.password.id):
            _rotate(opened, database, progress, timeout)


def _await_inside(opened: Opened, database: Postgres, job: Job, timeout: float) -> None:
    """Until the database answers on its own socket: by any other way it may ask for a password that is lost."""
    start = time.monotonic()
    while not _answers_inside(opened, database):
        if job.wait(_INTERVAL):
            raise opened.engine.explain(job)
        if time.monotonic() - start > timeout:
            raise StackError(
                "not-ready",
                f"{database.name} did not answer within {timeout:g} s",
                f"look at `stackctl logs {database.name}`, and run this again",
            )


def _answers_inside(opened: Opened, database: Postgres) -> bool:
    state = opened.engine.observe().components.get(database.name)
    running = state is not None and state.running
    return running and opened.engine.server(database).run(database.query("SELECT 1")).ok


def readers(instance: Instance, database: Postgres) -> list[WebApp]:
    """The apps that use a database."""
    return [each for each in instance.stack if isinstance(each, WebApp) and database.name in each.needs]


def _named(apps: list[WebApp]) -> str:
    return ", ".join(app.name for app in apps) or "no apps"


def _remember(opened: Opened) -> None:
    known, secrets = opened.state.applied(), secret_digests(opened)
    opened.state.remember_applied(replace(known, secrets=secrets, data=identities(opened, secrets)))


def password_statement(database: Postgres, password: str) -> str:
    """The SQL that gives its user a password, which stands nowhere in it."""
    return f"ALTER ROLE \"{database.user}\" PASSWORD '{scram(password)}'"


def scram(password: str) -> str:
    """What PostgreSQL keeps of a password: it stands in no statement, argument or log itself (RFC 5802, RFC 7677)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, client, _hmac(salted, b"Server Key"))]
    return f"SCRAM-SHA-256${_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
