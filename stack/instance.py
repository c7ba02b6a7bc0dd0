"""An instance: one running copy of a stack, with its own name, state, data and ports."""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from stack.contents import Content
from stack.errors import StackError
from stack.frozen import dataclass
from stack.model import Stack
from stack.parameters import Given
from stack.workload import LOCALHOST, WEB, Build, File, Port, PortId, Target, Volume, VolumeId

FILES = "files"
_MISSING = "missing"
_PROJECT = re.compile(r"stackctl-(.+)-[0-9a-f]{6}")


@dataclass(frozen=True)
class Instance:
    """Everything that an engine has to know to make a stack real.

    `project` is the name under which the engine keeps it, unlike that of any other folder's instance of the same
    name. `folder` is that of the stack file: relative sources start there. `state` is the instance's own folder.
    `ports` has the port of this machine that each published port is on. `generations` has the number of each volume
    that is no longer its first revision: data that is restored or upgraded gets a new one, and what it replaces stays
    whole until then. `contents` has what is at the source of each file that components find in their containers, by its
    name, if it could be read. `parameters` has those that have a value, `pins` the digest of each image that is pinned,
    and `stopped` the components that do not run on purpose. `registry`: where images that are built are pushed to.
    `addresses`: where the ports of components answer that are not on this machine. `host`: the
    server that it is on, `ssh://user@name`; None for one on this machine.
    """

    name: str
    project: str
    stack: Stack
    folder: Path
    state: Path
    ports: Mapping[PortId, int]
    generations: Mapping[VolumeId, int] = field(default_factory=dict)
    contents: Mapping[str, Content] = field(default_factory=dict)
    parameters: Mapping[str, Given] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
    registry: str | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None

    @property
    def expected(self) -> tuple[str, ...]:
        """The components that are to run, or to be done."""
        return tuple(name for name in self.stack.names if name not in self.stopped)

    def source(self, component: str) -> Path | None:
        """The absolute folder that a component is built from, if it is built."""
        source = self.stack.own_workload(component, "container").source
        return None if source is None else self.path(source)

    def build(self, component: str) -> Build:
        """How the image of a component is made of its source."""
        return self.stack.own_workload(component, "container").build

    def path(self, named: str) -> Path:
        """The absolute path of what a stack file names."""
        return Path(os.path.normpath(self.folder / named))

    def store_name(self, volume: Volume) -> str:
        """The name of a volume in use: its base name for the first revision, `base.2` for the next.

        No component has a name with a dot.
        """
        return volume.base + generation_mark(self.generations.get(volume.id, 1))

    @property
    def configuration(self) -> Path:
        """The folder of what is generated for the engine; another one for each server that the instance was ever on."""
        server = "" if self.host is None else f"-{hashlib.sha256(self.host.encode()).hexdigest()[:6]}"
        return self.state / f"compose{server}"

    def generated(self, name: str) -> str:
        """The path of a file that is generated for the engine, relative to the state."""
        return f"{self.configuration.name}/{name}"

    def dockerfile(self, component: str) -> Path:
        """A copy of its Dockerfile; beside it, as `.dockerignore`, what the build context leaves out."""
        return self.configuration / f"{component}.Dockerfile"

    def config_file(self, file: File) -> Path:
        """Where a file is that a container reads, beside the configuration: another content is at another place."""
        return self.configuration / FILES / self.stored_name(file) if file.tracked else self.configuration / file.name

    def content(self, file: File) -> Content | None:
        """What a file holds; None if it could not be read."""
        return Content.of_text(file.text) if file.source is None else self.contents.get(file.name)

    def content_digest(self, file: File) -> str:
        content = self.content(file)
        return _MISSING if content is None else content.digest

    def stored_name(self, file: File) -> str:
        """The name of the copy of a tracked file."""
        return f"{file.name}-{self.content_digest(file)}"

    def variables_file(self, component: str) -> Path:
        """The file of the variables with secrets and parameters, as a container gets them."""
        return self.configuration / f"{component}.env"

    def secret_files(self, target: Target) -> tuple[str, ...]:
        """Name the secrets that have a file: those of the components, and parameters that are read from one."""
        read = [secret for name in self.stack.names for secret in self.stack.workload(name, target).secrets]
        return tuple(dict.fromkeys(secret.id for secret in (*self.stack.secrets(target), *read)))

    def secret_file(self, secret_id: str) -> Path:
        return self.state / "secrets" / secret_id

    @property
    def urls(self) -> Mapping[PortId, str]:
        """Where each published port answers."""
        patterns = self.url_patterns
        return {
            port: patterns.get(port, WEB).replace("{port}", str(number)).replace(LOCALHOST, self._host(port), 1)
            for port, number in self.ports.items()
        }

    def _host(self, port: PortId) -> str:
        return self.addresses.get(port.component) or LOCALHOST

    @property
    def url_patterns(self) -> Mapping[PortId, str]:
        """How clients name each published port, with `{port}` for its number."""
        return {port.id: port.url for name in self.stack.names for port in published_ports(self.stack, name)}


def generation_mark(generation: int) -> str:
    return "" if generation == 1 else f".{generation}"


def generation_of(store: str) -> int:
    """The number of a data store, by its name as `Instance.store_name` makes it."""
    found = re.search(r"\.(\d+)$", store)
    return int(found[1]) if found else 1


def default_project(name: str, state: Path, machine: str | None = None) -> str:
    """A project name that two checkouts of one stack do not share: they would take each other's data.

    `machine`: the name of this machine, for an instance on a server, which other machines use too. Its project is named
    otherwise: what looks on the server for instances of its own passes it over.
    """
    if machine is None:
        return f"stackctl-{name}-{hashlib.sha256(str(state).encode()).hexdigest()[:6]}"
    return f"stackctl-{name}-{hashlib.sha256(f'{machine}:{state}'.encode()).hexdigest()[:6]}-ssh"


def not_up(instance: Instance) -> StackError:
    """Return the error of a command that needs an instance of which nothing exists."""
    return StackError("instance-down", f"{instance.name} is not up", "run `stackctl up` first")


def name_of_project(project: str) -> str:
    """The instance that `default_project` named; another project is its own name."""
    found = _PROJECT.fullmatch(project)
    return found[1] if found else project


def default_ports(stack: Stack) -> Mapping[PortId, int]:
    """The port of this machine that each published port asks for."""
    return {
        port.id: port.publish
        for name in stack.names
        for port in published_ports(stack, name)
        if port.publish is not None
    }


def takes_datagrams(stack: Stack, port: PortId) -> bool:
    """Whether a published port is one of UDP."""
    return any(each.id == port and each.udp for each in published_ports(stack, port.component))


def published_ports(stack: Stack, component: str) -> tuple[Port, ...]:
    return stack.own_workload(component, "container").published
