"""`stackctl shell`: the interactive client of a component, on it."""

from __future__ import annotations

from stack.report import Report
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.workflow.clients import find_client
from stack.workflow.finding import require_running
from stack.workflow.opening import look


def shell(settings: Settings, name: str, write: bool, admin: bool = False) -> Report[Nothing]:
    """Run the client on this process's own streams; the report carries its exit code.

    psql begins read-only without `write`: so no slip changes data. `admin`: as the administrator of the server.
    """
    opened = look(settings)
    name, client = find_client(opened.instance, name)
    require_running(opened.instance, opened.engine.observe(), name)
    session = opened.engine.session(name)
    return Report("shell", "", Nothing(), exit_code=session.attach(client.shell(session, write, admin)))
