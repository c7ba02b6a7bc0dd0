"""Run commands in a container; see `stack.capabilities.Session`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

from stack.capabilities import Completed
from stack.engines import process
from stack.engines.docker import arguments, client
from stack.engines.process import Pipe
from stack.frozen import dataclass
from stack.references import SecretReference
from stack.workload import Target


@dataclass(frozen=True)
class ContainerSession:
    """`container`: its name or id. `memory`: its limit in bytes; Docker kills a container that needs more.

    `host`: the server that it is on; None for the daemon that the user's environment means.
    """

    component: str
    container: str
    memory: int | None = None
    host: str | None = None
    target: ClassVar[Target] = "container"

    def run(self, command: Sequence[str], timeout: float | None = 30) -> Completed:
        answer = process.ask(self.component, self._command(command), client.environment(self.host), timeout)
        if not answer.ok:
            client.check_connection(self.host)
        return answer

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        return Pipe(self._command(command), client.environment(self.host), feed=feed, take=take)

    def attach(self, command: Sequence[str]) -> int:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        exit_code = process.attach(self._command(command, terminal), client.environment(self.host))
        if exit_code:
            client.check_connection(self.host)
        return exit_code

    def secret(self, secret: SecretReference) -> str:
        return f"/run/secrets/{secret.id}"

    def _command(self, command: Sequence[str], terminal: bool = False) -> list[str]:
        return client.command(arguments.execute(self.container, command, terminal))
