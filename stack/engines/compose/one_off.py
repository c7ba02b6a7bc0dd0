"""Run a command in a container of its own, made like that of a component and removed when it ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stack.capabilities import Completed
from stack.engines import one_offs, process
from stack.engines.compose.arguments import ONE_OFF, Project, of_project
from stack.engines.docker import arguments, client
from stack.engines.docker.objects import READ_TIMEOUT, container_ids, listed
from stack.errors import StackError
from stack.instance import Instance

# Of a container with a command of a user; its value is the name of that.
LABEL_RUN = "stackctl.run"
_NAMED = f"{arguments.CONTAINER_NAME}={arguments.label(LABEL_RUN)}"


def run_one_off(
    instance: Instance, project: Project, component: str, command: Sequence[str], capture: bool
) -> Completed:
    """Run a command and return how it ended; with `capture` with what it wrote. Raises `component-down`."""
    if component not in project.services():
        raise StackError(
            "component-down",
            f"{component} was not made yet, so there is nothing to make a container from",
            "run `stackctl up` first",
        )
    remove_left(instance)
    name = one_offs.new_name(component)
    container = f"{instance.project}-{name.replace('.', '-')}"
    terminal = not capture and sys.stdin.isatty() and sys.stdout.isatty()
    words = client.command(project.run(component, container, f"{LABEL_RUN}={name}", command, terminal))
    with one_offs.held(instance.state, name), _removed(container, instance.host) as ended:
        if capture:
            answer = process.ask(component, words, client.environment(instance.host), None)
            if not answer.ok:
                # Compose adds an empty line.
                answer = replace(answer, stderr=answer.stderr.removesuffix("\n"))
        else:
            answer = Completed(process.attach(words, client.environment(instance.host)), "", "")
        ended.append(answer.exit_code)
    return answer


@contextlib.contextmanager
def _removed(container: str, host: str | None) -> Iterator[list[int]]:
    """Remove a container at the end of the block, unless its command ended with 0: Docker has removed it then."""
    ended: list[int] = []
    try:
        yield ended
    finally:
        if ended != [0]:
            # It may be gone already.
            client.run(arguments.remove_containers([container]), READ_TIMEOUT, host=host)


def remove_left(instance: Instance) -> dict[str, str]:
    """Remove the containers of commands whose stackctl was killed.

    Return all one-off containers that stay, each with the name of its command; without one it is a server's.
    """
    own = (of_project(instance.project), ONE_OFF)
    if not container_ids(*own, host=instance.host):
        return {}
    rows = listed(arguments.list_containers(*own, layout=_NAMED), instance.host)
    found = {container: name for container, _, name in (row.partition("=") for row in rows)}
    if left := [container for container, name in found.items() if name and one_offs.is_left(instance.state, name)]:
        client.run(arguments.remove_containers(left), READ_TIMEOUT, host=instance.host)
    return {container: name for container, name in found.items() if container not in left}
