"""Wait for what a Swarm does after the command that asks for it: it ends tasks, and removes networks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stack.engines.swarm import arguments, machine, render
from stack.errors import StackError

_ENDS_WITHIN = 120.0
_POLL = 0.1
# A task in one of these has a container, or is about to.
_ACTIVE = ("running", "starting", "preparing")


def remove_stack(project: str) -> None:
    """Remove all services and networks of an instance, and wait until they are gone. Raises `docker-failed`.

    The client of Docker would wait for tasks too, but at each look it counts those that have ended again, and waits for
    ever once these are more than there are tasks.
    """
    label = f"{render.LABEL_NAMESPACE}={project}"
    if machine.listed("/services", label) or machine.listed("/networks", label):
        machine.change(arguments.remove_stack(project), _ENDS_WITHIN)
    await_end(lambda: _is_active(label) or bool(machine.listed("/networks", label)))


def await_end(goes_on: Callable[[], bool]) -> None:
    """Wait until nothing of what was ended is left. Raises `docker-failed` if it takes too long."""
    deadline, pause = time.monotonic() + _ENDS_WITHIN, threading.Event()
    while goes_on():
        if time.monotonic() > deadline:
            raise StackError(
                "docker-failed",
                f"the Swarm has not ended what was to end within {_ENDS_WITHIN:g} s",
                "look at `docker node ls`: a node that is down ends nothing; run this again when it is back",
            )
        pause.wait(_POLL)


def _is_active(label: str) -> bool:
    """Say whether any container runs, also of a service that is gone."""
    return any(task["Status"]["State"] in _ACTIVE for task in machine.listed("/tasks", label))
