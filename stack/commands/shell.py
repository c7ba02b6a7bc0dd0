"""`stackctl shell`: the client of a database or a cache, on it."""

from __future__ import annotations

from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.errors import UsageError
from stack.report import Report
from stack.settings import Settings
from stack.workflow.opening import find_component, look, require_running

_READ_ONLY = ("env", "PGOPTIONS=-c default_transaction_read_only=on")
_PROMPT = "%/ (read-only)%R%x%# "


def shell(settings: Settings, name: str, write: bool) -> Report:
    """Run psql or redis-cli on this process's own streams; the report carries its exit code.

    psql begins read-only without `write`: so no slip changes data.
    """
    opened = look(settings)
    component = find_component(opened.instance, name)
    if isinstance(component, Postgres):
        psql = ["psql", "-U", component.user, "-d", component.database]
        command = psql if write else [*_READ_ONLY, *psql, "-v", f"PROMPT1={_PROMPT}"]
    elif isinstance(component, Redis):
        command = ["redis-cli"]
    else:
        raise UsageError(f"{name!r} is a {component.role}, which has no client", f"`stackctl exec {name} -- sh`")
    require_running(opened.instance, opened.engine.observe(), name)
    return Report("shell", "", exit_code=opened.engine.session(name).attach(command))
