"""Run the server of a component by itself on its volume, in a one-off container, while the component does not run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from stack.capabilities import Serve, Session
from stack.engines.compose.arguments import ONE_OFF, Project, of_project
from stack.engines.compose.files import write_configuration
from stack.engines.compose.one_off import remove_left
from stack.engines.docker import arguments, client, failures, resolving
from stack.engines.docker.objects import READ_TIMEOUT, container_names
from stack.engines.offline import run_offline, run_while_open
from stack.errors import StackError
from stack.instance import Instance

_ENDS_WITHIN = 60.0
_POLL = 0.05


@contextlib.contextmanager
def serve_offline(
    instance: Instance, component: str, serve: Serve, session: Callable[[str], Session]
) -> Iterator[Session]:
    """Serve a volume until the end of the block. `session` opens a session in a container of a given name."""
    await_offline_servers(instance)
    name = f"{instance.project}-{component}-beside"
    project = Project(instance.project, write_configuration(instance, "beside.yaml"))
    server = [resolving.resolve(instance, value) for value in serve.command]
    command = client.command(project.run_script(component, name, run_while_open(serve), server))
    with (
        open(instance.configuration / "beside.log", "wb") as log,
        run_offline(
            serve, lambda pid: session(name), command, client.environment(instance.host), log, _failed
        ) as opened,
    ):
        yield opened


def await_offline_servers(instance: Instance) -> None:
    """Wait for an offline server left by a killed command; it exits once its standard input closes.

    Two servers on one volume would corrupt its data, and containers don't see each other's locks. A container that was
    created and never started would keep its volume and its name forever: it is removed. A command of a user is left
    alone for as long as its stackctl lives.
    """
    deadline = time.monotonic() + _ENDS_WITHIN
    pause = threading.Event()
    while left := [container for container, command in remove_left(instance).items() if not command]:
        late = time.monotonic() > deadline
        if late or not _running(instance).intersection(left):
            # Docker refuses while it is removing the container by itself already.
            (client.read if late else client.run)(arguments.remove_containers(left), READ_TIMEOUT, host=instance.host)
        pause.wait(_POLL)


def _running(instance: Instance) -> set[str]:
    own = (of_project(instance.project), ONE_OFF)
    return {*container_names(*own, stopped=False, host=instance.host)}


def _failed(serve: Serve, output: str) -> StackError:
    return failures.classify(output, serve.failure.code, serve.failure.message, serve.failure.hint)
