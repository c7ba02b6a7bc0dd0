"""What the commands report that make, list and delete branches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from stack.frozen import dataclass
from stack.observed import ListedState
from stack.results.lifecycle import UpResult
from stack.workload import PortId


@dataclass(frozen=True)
class BranchResult:
    """A branch that was made, or begun again.

    `instance`: its name.
    `parent`: the instance that its data is a copy of.
    `engine`: its engine, which is that of its parent.
    `urls`: the address of each published port.
    `cloned`: whether the file system shares what is the same, so that the copy took neither time nor room.
    `bytes`: the size of what was copied.
    `seconds`: how long the copy took; the parent served on meanwhile.
    `differs`: what is not as in its parent, as text for people.
    `up`: how it was started.
    """

    instance: str
    parent: str
    engine: str
    urls: Mapping[PortId, str]
    cloned: bool
    bytes: int
    seconds: float
    differs: tuple[str, ...]
    up: UpResult


@dataclass(frozen=True)
class ListedBranch:
    """One branch.

    `instance`: its name.
    `parent`: the instance that it is a branch of.
    `parent_state`: the state directory of that; null for a branch that is not finished.
    `parent_gone`: whether that instance is gone; a branch is complete without it.
    `engine`: its engine; null for a branch that is not finished.
    `state`: the state of the whole, as in `ls`; `unfinished` if the command that made it was ended or still runs.
    `created`: when it was created, ISO 8601; null if that is not known.
    `bytes`: the size of its data in bytes; null if that is not known.
    """

    instance: str
    parent: str
    parent_state: Path | None
    parent_gone: bool
    engine: str | None
    state: ListedState | Literal["unfinished"]
    created: datetime | None
    bytes: int | None


@dataclass(frozen=True)
class BranchList:
    """The branches of the instances of this project.

    `branches`: each of them.
    """

    branches: tuple[ListedBranch, ...]
