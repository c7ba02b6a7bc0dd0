"""Run commands beside a process, as its user and in its view of the files; see `stack.capabilities.Session`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stack.capabilities import Completed, Host
from stack.engines import process
from stack.engines.process import Pipe
from stack.references import SecretReference
from stack.workload import Target


@dataclass(frozen=True)
class ProcessSession:
    """`enter` gives the command line that runs a command there, in `environment`."""

    component: str
    host: Host
    enter: Callable[[Sequence[str]], Sequence[str]]
    environment: Mapping[str, str]
    memory: None = None
    target: ClassVar[Target] = "process"

    def run(self, command: Sequence[str], timeout: float | None = 30) -> Completed:
        return process.ask(self.component, self.enter(command), self.environment, timeout)

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        return Pipe(self.enter(command), self.environment, feed=feed, take=take)

    def attach(self, command: Sequence[str]) -> int:
        return process.attach(self.enter(command), self.environment)

    def secret(self, secret: SecretReference) -> str:
        return str(self.host.secret_file(secret))
