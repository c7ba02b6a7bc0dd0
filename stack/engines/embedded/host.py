"""Describe this machine to a component that runs as a process; see `stack.capabilities.Host`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from stack.capabilities import Completed, Session
from stack.component import Component
from stack.engines import process
from stack.engines.embedded.layout import HOST, Layout
from stack.frozen import dataclass
from stack.references import SecretReference, variable_prefix

# How long a question about the health of a process may take.
_TIMEOUT = 3.0
_CHUNK = 4096


@dataclass(frozen=True)
class LocalHost:
    """An instance in its home, with the ports that were chosen for it. `session`: opens one in a component."""

    layout: Layout
    address: str = HOST
    session: Callable[[str], Session] | None = None

    def port(self, component: str, name: str = "") -> int:
        return self.layout.port(component, name)

    def secret_file(self, secret: SecretReference) -> Path:
        return self.layout.home.secret(secret.id)

    def secret(self, secret: SecretReference) -> str:
        return self.secret_file(secret).read_text(encoding="utf-8").strip()

    def file(self, component: str, name: str) -> Path:
        return self.layout.home.file(component, name)

    def data(self, component: str) -> Path:
        return self.layout.home.data(component)

    @property
    def socket(self) -> Path:
        return self.layout.home.runtime

    def run(self, component: str, command: Sequence[str], environment: Mapping[str, str]) -> Completed:
        program, *words = command
        tools = self.layout.programs[component].tools
        found = next((folder / program for folder in tools if (folder / program).exists()), Path(program))
        return process.run([str(found), *words], environment, _TIMEOUT)

    def execute(self, component: str, command: Sequence[str], timeout: float) -> Completed:
        assert self.session is not None  # noqa: S101 - the engine gives it to whatever is asked for its health
        return self.session(component).run(command, timeout)

    def exchange(self, port: int, request: bytes, lines: int) -> bytes:
        with socket.create_connection((self.address, port), timeout=_TIMEOUT) as connection:
            connection.sendall(request)
            answer = b""
            while answer.count(b"\n") < lines and (more := connection.recv(_CHUNK)):
                answer += more
        return answer


def client_environment(stack: Iterable[Component], host: LocalHost) -> dict[str, str]:
    """Give each server by its name (`STACKCTL_CACHE_PORT`), and to the clients the first server of each kind."""
    servers = [component for component in stack if component.client is not None]
    variables: dict[str, str] = {}
    for component in reversed(servers):
        variables |= environment_of(component, host)
    # A name stands for its component, also `redis` if another one is the first.
    for component in servers:
        prefix = f"STACKCTL_{variable_prefix(component.name)}"
        variables[f"{prefix}_HOST"] = host.address
        variables[f"{prefix}_PORT"] = str(host.port(component.name))
        for secret in component.secrets("process"):
            variables[f"{prefix}_{secret.field.upper()}_FILE"] = str(host.secret_file(secret))
    return variables


def environment_of(component: Component, host: LocalHost) -> dict[str, str]:
    """Give the variables that the clients of a component read on this machine."""
    return dict(component.client.environment(host)) if component.client is not None else {}


def local_environment_of(component: Component, host: LocalHost) -> dict[str, str]:
    """Give the variables that they read for the user that owns the instance."""
    return dict(component.client.local_environment(host)) if component.client is not None else {}


def on_path(path: str, *folders: str) -> str:
    """Put folders first on a search path, each once: a shell may ask for it again and again."""
    first = [part for folder in folders for part in folder.split(os.pathsep) if part]
    rest = [part for part in path.split(os.pathsep) if part not in first]
    return os.pathsep.join([*first, *rest])
