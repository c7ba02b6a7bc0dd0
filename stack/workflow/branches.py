"""Find the branches of instances: which there are, and what each is a branch of."""

from __future__ import annotations

from pathlib import Path

from stack.errors import StackError
from stack.frozen import dataclass
from stack.record import Record
from stack.registry import Registry
from stack.settings import Settings
from stack.state import State


@dataclass(frozen=True)
class Branch:
    """An instance that began as a copy of another one. `record` is None if it is not made yet, or half."""

    state: State
    record: Record | None

    @property
    def name(self) -> str:
        return self.state.folder.name

    @property
    def parent(self) -> Path | None:
        """The state folder of what it is a branch of, if that is known."""
        return Path(self.record.parent) if self.record is not None else None


def find_branches(settings: Settings) -> list[Branch]:
    """Return the branches that this user made of instances of this project, and those beside them."""
    root = settings.state_root
    here = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    elsewhere = [entry.state for entry in Registry(settings.registry).entries() if entry.state.parent != root]
    found = []
    for folder in sorted({*here, *elsewhere}):
        branch = _branch(State(folder))
        if branch is not None and (folder.parent == root or (branch.parent and branch.parent.parent == root)):
            found.append(branch)
    return found


def _branch(state: State) -> Branch | None:
    try:
        if state.unfinished:
            return Branch(state, None)
        record = state.record()
    except StackError:
        # Damaged, or another user's: what it is can't be told.
        return None
    return Branch(state, record) if record is not None and record.parent else None


def branches_of(settings: Settings, folder: Path) -> list[str]:
    """Return the names of the branches of the instance that has this state folder."""
    return [branch.name for branch in find_branches(settings) if branch.parent == folder]
