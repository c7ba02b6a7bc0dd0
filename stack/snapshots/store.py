"""The folder of an instance's snapshots. It is beside the instance's state, and outlives it: `undo` needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from stack.errors import StackError, UsageError
from stack.files import explaining
from stack.frozen import dataclass
from stack.snapshots.archive import read_manifest
from stack.snapshots.manifest import Manifest, Reason
from stack.snapshots.partial import SUFFIX, snapshots_folder

KEPT = 10
KEPT_FOR = timedelta(days=30)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


@dataclass(frozen=True)
class SnapshotEntry:
    """A snapshot that lies there: its bytes on the disk, and what it says of itself, or why it can't be used."""

    path: Path
    bytes: int
    manifest: Manifest | None
    problem: str = ""

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(SUFFIX)


class SnapshotStore:
    """The snapshots of one instance."""

    def __init__(self, state_root: Path, instance: str) -> None:
        self.folder = snapshots_folder(state_root, instance)

    def prepare(self) -> None:
        """Make the folder, for its owner alone. Raises `state-unusable`."""
        with explaining("state-unusable", self.folder, "check the folder's rights"):
            for folder in (self.folder.parent.parent, self.folder.parent, self.folder):
                folder.mkdir(mode=0o700, exist_ok=True, parents=True)

    def path(self, name: str) -> Path:
        """Where the snapshot of this name is, or would be. Raises `usage` for what is no name."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a name for a snapshot", "use a-z, 0-9, `.`, `_` and -, at most 61, no `.` first"
            )
        return self.folder / f"{name}{SUFFIX}"

    def free_name(self, reason: Reason, now: datetime) -> str:
        """`2026-11-24-160501`, or `before-reset-2026-11-24-160501`, with a number where that is taken."""
        prefix = "" if reason == "asked" else f"before-{reason}-"
        name = f"{prefix}{now.astimezone():%Y-%m-%d-%H%M%S}"
        number = 1
        while self.path(name if number == 1 else f"{name}-{number}").exists():
            number += 1
        return name if number == 1 else f"{name}-{number}"

    def items(self) -> list[SnapshotEntry]:
        """All of them, the newest first; those that can't be read last."""
        paths = sorted(self.folder.glob(f"[!.]*{SUFFIX}")) if self.folder.is_dir() else []
        return sorted(map(_item, paths), key=_age, reverse=True)

    def find(self, name: str) -> Path:
        """Raises `snapshot-unknown`, which names those there are."""
        path = self.path(name)
        if not path.is_file():
            names = ", ".join(item.name for item in self.items()[:5]) or "none"
            raise StackError(
                "snapshot-unknown", f"there is no snapshot {name!r}; there are: {names}", "see `stackctl snapshot list`"
            )
        return path

    def newest_automatic(self, suits: Callable[[Manifest], bool] = lambda _: True) -> SnapshotEntry | None:
        """What `undo` brings back: the newest of those that a command made by itself and that suit."""
        found = (item for item in self.items() if item.manifest and item.manifest.automatic and suits(item.manifest))
        return next(found, None)

    def automatic(self) -> list[Manifest]:
        """What those say that commands made by themselves, the newest first."""
        return [item.manifest for item in self.items() if item.manifest and item.manifest.automatic]


def superfluous(items: Iterable[SnapshotEntry], now: datetime) -> Sequence[SnapshotEntry]:
    """Of those that commands made by themselves the oldest beyond `KEPT`, and the old; the newest always stays."""
    automatic = [item for item in items if item.manifest is not None and item.manifest.automatic]
    return [
        item
        for position, item in enumerate(automatic)
        if position and (position >= KEPT or now - (item.manifest.made if item.manifest else now) > KEPT_FOR)
    ]


def _item(path: Path) -> SnapshotEntry:
    taken = path.stat().st_size
    try:
        return SnapshotEntry(path, taken, read_manifest(path))
    except StackError as error:
        return SnapshotEntry(path, taken, None, error.message)


def _age(item: SnapshotEntry) -> tuple[bool, float]:
    return (item.manifest is not None, item.manifest.made.timestamp() if item.manifest else 0)
