"""`stackctl rotate`: give a database another password, and the apps that use it.

The data, the secret's file and the app can't be changed at one moment. So the new password is kept beside the old one
until all have it: a run after a kill in between carries on with the same.
"""

from __future__ import annotations

from stack.component import Component
from stack.errors import UsageError
from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import RotateResult
from stack.settings import Settings
from stack.workflow.finding import find_component
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workflow.rotation import Rotated, holds, lost_passwords, named, readers, rotate_all, rotate_parameter


def rotate(settings: Settings, name: str, progress: Progress, timeout: float = 120) -> Report[RotateResult]:
    """Change the password of the database `name`, also if the old one is lost, or a parameter that is generated."""
    with change(settings, progress) as opened:
        if name in opened.instance.stack.parameters:
            again = rotate_parameter(opened, Journal(opened.state), name, progress, timeout)
            told = f"{name} has another value" + (f"\n  restarted: {', '.join(again)}" if again else "")
            return Report("rotate", told, RotateResult(opened.instance.name, name, tuple(again)))
        database = find_component(opened.instance, name)
        if database.login is None:
            raise UsageError(f"{name!r} is a {database.role}, which has no password to rotate", "name a database")
        opened.engine.check()
        rotated = rotate_all(
            opened, Journal(opened.state), [database, *lost_passwords(opened, database)], progress, timeout
        )
    data = RotateResult(opened.instance.name, name, tuple(rotated.restarted))
    return Report("rotate", text_of(opened, database, rotated), data)


def text_of(opened: Opened, database: Component, rotated: Rotated) -> str:
    """Say which apps use the new password, and what was restarted."""
    apps = readers(opened.instance, database)
    lines = [f"{database.name} has another password; {named(apps) or 'no app'} {'use' if len(apps) > 1 else 'uses'} it"]
    also = [name for name in rotated.databases if name != database.name]
    if also:
        lines.append(f"  also changed, because its file was gone: the password of {', '.join(also)}")
    if database.replication is not None:
        lines.append(f"  {database.replication.standby} logs in with another one too")
    if rotated.restarted:
        lines.append(f"  restarted: {', '.join(rotated.restarted)}; requests in flight ended")
        secret = [database.login.secret.id] if database.login else []
        held = {app.name for app in apps if holds(opened, app, secret)}
        if any(app.name in rotated.restarted and app.name not in held and not app.rereads_secrets for app in apps):
            lines.append("  an app that reads its secret file again by itself runs on: declare rereads_secrets=True")
    return "\n".join(lines)
