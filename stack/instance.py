"""An instance: one running copy of a stack, with its own name, state, data and ports."""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.model import Stack
from stack.workload import WEB, Build, Port, PortId, Volume, VolumeId

_PROJECT = re.compile(r"stackctl-(.+)-[0-9a-f]{6}")


@dataclass(frozen=True)
class Instance:
    """Everything that an engine has to know to make a stack real.

    `project` is the name under which the engine keeps it, unlike that of any other folder's instance of the same
    name. `folder` is that of the stack file: relative sources start there. `state` is the instance's own folder.
    `ports` has the port of this machine that each published port is on. `generations` has the number of each volume
    that is no longer its first revision: data that is restored or upgraded gets a new one, and what it replaces stays
    whole until then.
    """

    name: str
    project: str
    stack: Stack
    folder: Path
    state: Path
    ports: Mapping[PortId, int]
    generations: Mapping[VolumeId, int] = field(default_factory=dict)

    def source(self, component: str) -> Path | None:
        """The absolute folder that a component is built from, if it is built."""
        source = self.stack[component].workload("container").source
        return None if source is None else self.path(source)

    def build(self, component: str) -> Build:
        """How the image of a component is made of its source."""
        return self.stack[component].workload("container").build

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
        """The folder of what is generated for the engine."""
        return self.state / "compose"

    def dockerfile(self, component: str) -> Path:
        """A copy of its Dockerfile; beside it, as `.dockerignore`, what the build context leaves out."""
        return self.configuration / f"{component}.Dockerfile"

    def config_file(self, name: str) -> Path:
        """A file that a container reads, beside the configuration."""
        return self.configuration / name

    def variables_file(self, component: str) -> Path:
        """The file of the variables that hold secrets, as a container gets them."""
        return self.configuration / f"{component}.env"

    def secret_file(self, secret_id: str) -> Path:
        return self.state / "secrets" / secret_id

    @property
    def urls(self) -> Mapping[PortId, str]:
        """Where each published port answers."""
        patterns = self.url_patterns
        return {port: patterns.get(port, WEB).replace("{port}", str(number)) for port, number in self.ports.items()}

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


def default_project(name: str, state: Path) -> str:
    """A project name that two checkouts of one stack do not share: they would take each other's data."""
    return f"stackctl-{name}-{hashlib.sha256(str(state).encode()).hexdigest()[:6]}"


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


def published_ports(stack: Stack, component: str) -> tuple[Port, ...]:
    return stack[component].workload("container").published
