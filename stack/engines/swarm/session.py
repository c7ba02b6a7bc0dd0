"""Run commands in a container of a node; see `stack.capabilities.Session`."""

from __future__ import annotations

from collections.abc import Sequence

from stack.engines.docker import arguments, client
from stack.engines.docker.session import ContainerSession
from stack.engines.swarm.api import on_host
from stack.frozen import dataclass


@dataclass(frozen=True)
class NodeSession(ContainerSession):
    """`daemon`: that of the node, as the client takes it; None for the one that the client asks."""

    daemon: str | None = None

    def _command(self, command: Sequence[str], terminal: bool = False) -> list[str]:
        return client.command([*on_host(self.daemon), *arguments.execute(self.container, command, terminal)])
