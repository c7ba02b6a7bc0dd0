"""Run commands beside a process, as its user and in its mount namespace; see `stack.capabilities.Session`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from stack.capabilities import Completed, Host, Serve
from stack.engines import process
from stack.engines.embedded.host import LocalHost, local_environment_of, on_path
from stack.engines.embedded.launch import given_variables
from stack.engines.embedded.layout import Layout
from stack.engines.embedded.namespace import command_as
from stack.engines.embedded.render import environment, preparation, process_of, resolve
from stack.engines.embedded.user import RunAs
from stack.engines.offline import run_while_open
from stack.engines.process import Pipe
from stack.frozen import dataclass
from stack.instance import Instance
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


def open_session(
    instance: Instance, layout: Layout, component: str, run_as: RunAs | None, join: int | None
) -> ProcessSession:
    """Open a session for a component, in the mount namespace of the pid `join`, or in the caller's without one."""
    host = LocalHost(layout)
    folder = instance.source(component) or layout.home.folder
    enter = functools.partial(command_as, folder=folder, run_as=run_as, join=join)
    return ProcessSession(component, host, enter, _environment(instance, host, component))


def offline_command(instance: Instance, layout: Layout, component: str, serve: Serve) -> tuple[str, ...]:
    """Return the command that serves a volume while its component does not run, until standard input closes."""
    program, *words = (resolve(layout, value) for value in serve.command)
    prepare = preparation(layout, process_of(instance, component))
    return ("sh", "-c", run_while_open(serve), "sh", *prepare, layout.program(component, program), *words)


def with_tools(path: str, layout: Layout) -> str:
    """Put the instance's commands and the clients of its servers first on a search path."""
    return on_path(path, str(layout.home.commands), layout.tools)


def _given_variables(instance: Instance, layout: Layout, component: str) -> dict[str, str]:
    """Return the variables with secrets and parameters, as a component gets them when it is started."""
    path = layout.home.variables(component)
    held = process_of(instance, component).given_environment and path.exists()
    return given_variables(str(path)) if held else {}


def _environment(instance: Instance, host: LocalHost, component: str) -> dict[str, str]:
    """Return the variables of a component, with the commands that its container would have."""
    layout = host.layout
    variables = environment(instance, layout, component) | _given_variables(instance, layout, component)
    variables["PATH"] = with_tools(variables["PATH"], layout)
    if component in layout.programs:
        variables["PATH"] = ":".join([*map(str, layout.programs[component].tools), variables["PATH"]])
    variables |= local_environment_of(instance.stack[component], host)
    return variables | {key: os.environ[key] for key in ("TERM",) if key in os.environ}
