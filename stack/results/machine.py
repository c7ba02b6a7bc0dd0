"""What the commands report that look at the whole machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from stack.findings import Finding
from stack.frozen import dataclass
from stack.observed import ListedState
from stack.workload import PortId

Removable = Literal["containers", "networks", "images", "data"]
"""The kinds of what `prune` removes."""


@dataclass(frozen=True)
class ListedInstance:
    """One instance on this machine, or of this user on a server.

    `instance`: its name.
    `engine`: its engine.
    `host`: the server that it is on, `ssh://user@name`; null if it is on this machine.
    `project`: the engine's name for it, unique on this machine.
    `state`: the state of the whole, as in `status`; `orphaned` if its directory is gone, `unknown` if its engine does \
not answer.
    `running`: whether any component runs.
    `urls`: the address of each published port, if anything runs.
    `created`: when it was created, ISO 8601; null if that is not known.
    `bytes`: the size of its data in bytes; null if that is not known.
    `file`: its stack file; null if another user made it.
    `file_gone`: whether the stack file is gone; null if it is not known.
    `state_folders`: the directories that may be its state directory.
    """

    instance: str
    engine: str
    host: str | None
    project: str
    state: ListedState
    running: bool
    urls: Mapping[PortId, str]
    created: datetime | None
    bytes: int | None
    file: Path | None
    file_gone: bool | None
    state_folders: tuple[Path, ...]


@dataclass(frozen=True)
class EngineProblem:
    """Why an engine can't be asked.

    `code`: the code of the error, as in docs/errors.md.
    `message`: what is wrong.
    """

    code: str
    message: str


@dataclass(frozen=True)
class LsResult:
    """The instances on this machine.

    `instances`: each one that is listed.
    `others`: how many more there are, which `ls --all` lists.
    `silent`: by name, the engines that can't be asked, and the servers by their addresses.
    """

    instances: tuple[ListedInstance, ...]
    others: int
    silent: Mapping[str, EngineProblem]


@dataclass(frozen=True)
class OrphanedInstance:
    """An instance whose directory is gone, and what happens to what is left of it.

    `instance`: its name.
    `engine`: its engine.
    `state_folders`: the directories that were its state directory.
    `removes`: the names of what is removed, by kind.
    `keeps`: the data stores that are kept.
    """

    instance: str
    engine: str
    state_folders: tuple[Path, ...]
    removes: Mapping[Removable, tuple[str, ...]]
    keeps: tuple[str, ...]


@dataclass(frozen=True)
class ForeignInstance:
    """An orphaned instance that was not made from here, and is kept.

    `instance`: its name.
    `engine`: its engine.
    `state_folders`: the directories that were its state directory.
    """

    instance: str
    engine: str
    state_folders: tuple[Path, ...]


@dataclass(frozen=True)
class PruneResult:
    """What is left of orphaned instances.

    `removed`: whether it is removed, and not only listed.
    `orphans`: each orphaned instance.
    `there_again`: the instances that were kept because they came back meanwhile.
    `images`: the untagged images left by builds.
    `foreign`: the orphaned instances that are kept because they were not made from here.
    """

    removed: bool
    orphans: tuple[OrphanedInstance, ...]
    there_again: tuple[str, ...]
    images: tuple[str, ...]
    foreign: tuple[ForeignInstance, ...]


@dataclass(frozen=True)
class DoctorResult:
    """What `doctor` found.

    `failed`: how many checks failed.
    `warned`: how many checks gave a warning.
    `checks`: every check.
    """

    failed: int
    warned: int
    checks: tuple[Finding, ...]


@dataclass(frozen=True)
class BundledDoctorResult(DoctorResult):
    """What `doctor --bundle` found.

    `bundle`: the file that was written.
    """

    bundle: Path


@dataclass(frozen=True)
class VersionResult:
    """The versions in use.

    `stackctl`: that of stackctl.
    `python`: that of Python.
    `platform`: the operating system.
    """

    stackctl: str
    python: str
    platform: str
