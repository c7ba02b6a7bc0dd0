"""Which ports of this machine an instance publishes, and whether it can have them."""

from __future__ import annotations

from stack.engines import FLEETS
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import Observed
from stack.ports import Holder, is_free, listener, next_free


def check_ports(instance: Instance, before: Observed) -> None:
    """Raises `port-taken`: asked before anything is changed, with an answer that helps.

    A race is still caught by the engine.
    """
    for name, port in instance.ports.items():
        own = before.components.get(name)
        if own is not None and own.running and own.port == port:
            continue
        if not is_free(port):
            raise _taken(instance, name, port)


def _taken(instance: Instance, name: str, port: int) -> StackError:
    holder = holder_of(port)
    choice = str(next_free(port + 1, instance.ports.values()) or "auto")
    if len(instance.ports) > 1:
        choice = f"{name}={choice}"
    return StackError(
        "port-taken",
        f"port {port} of 127.0.0.1, which {name} publishes, is taken by {holder.who}",
        f"choose another, like `stackctl up --port {choice}`, or end what has it: {holder.cure}",
    )


def holder_of(port: int) -> Holder:
    """Who has a port: an instance, a container, a process, or somebody whom only root can see."""
    process = listener(port)
    for fleet in FLEETS.values():
        if (holder := fleet.holder(port, process)) is not None:
            return holder
    if process is not None:
        return Holder(str(process), f"`kill {process.process}`")
    return Holder("a program that this user may not see", "`sudo ss -ltnp` names it")
