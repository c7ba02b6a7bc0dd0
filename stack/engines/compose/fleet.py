"""What Docker has on this machine, of all instances and of others."""

from __future__ import annotations

from stack.engines.compose import client, render
from stack.errors import StackError
from stack.ports import Holder, Listener

_READ_TIMEOUT = 5.0


class ComposeFleet:
    """See `stack.engines.base.Fleet`."""

    name = "compose"

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        layout = f'{{{{.Names}}}}\t{{{{.Label "{render.LABEL_INSTANCE}"}}}}\t{{{{.Label "{render.LABEL_STATE}"}}}}'
        try:
            answer = client.read(["ps", "--filter", f"publish={port}", "--format", layout], _READ_TIMEOUT)
        except StackError:
            # Without Docker no container has it.
            return None
        for line in answer.splitlines():
            container, instance, state = line.split("\t", 2)
            who = f"the container {container}"
            if instance:
                who += f", of the instance {instance!r} ({state})"
            return Holder(who, f"`docker stop {container}`")
        return None
