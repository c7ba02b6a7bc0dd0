"""Compare the files of volumes, of instances and of snapshots; see `stack.differing.Differ`."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, cast

from stack.differing import Side, Wanted
from stack.frozen import dataclass
from stack.progress import Progress
from stack.results.differences import Change, ComponentDifference, ContentDifference, ItemDifference, change_between
from stack.snapshots.volumes import File, VolumeFiles

# What of a file may have changed, as `File` has it and as people call it.
_PARTS = {"kind": "kind", "permissions": "permissions", "target": "target of the link", "digest": "content"}


@dataclass(frozen=True)
class FileDiffer:
    """The files of some volumes, by their paths. Those of a component that runs are read as they are at that moment."""

    store: VolumeFiles
    loads: bool = False

    def compare(self, before: Side, after: Side, wanted: Wanted, progress: Progress) -> ComponentDifference:
        contents = list[ContentDifference]()
        for name in self.store.names:
            progress.step(f"{self.store.component}: comparing the files of {name or self.store.component}")
            with _read(before, name) as one, _read(after, name) as other:
                found = compare_files(name, list(_files(one)), list(_files(other)), wanted.limit)
            if found.items or found.added or found.removed or found.changed:
                contents.append(found)
        return ComponentDifference(contents=tuple(contents))


def compare_files(volume: str, before: list[File], after: list[File], limit: int) -> ContentDifference:
    """Count the files that differ, and name the first by their paths. Pure."""
    ones, others = ({each.path: each for each in files} for files in (before, after))
    counts, items = Counter[Change](), list[ItemDifference]()
    for path in sorted({*ones, *others}):
        one, other = ones.get(path), others.get(path)
        if one == other:
            continue
        change = change_between(one, other)
        counts[change] += 1
        parts = [word for part, word in _PARTS.items() if getattr(one, part, None) != getattr(other, part, None)]
        items.append(ItemDifference(change, {"path": path}, tuple(parts) if change == "changed" else ()))
    amounts = (counts["added"], counts["removed"], counts["changed"])
    return ContentDifference(volume, "", "file", *amounts, tuple(items[:limit]))


def _read(side: Side, volume: str) -> AbstractContextManager[IO[bytes]]:
    """Return a tar of the files of a volume."""
    if side.stored is None:
        return side.access.read(volume)
    store = cast("FileDiffer", side.differ).store
    return side.stored.archive.part(store.members(side.stored.saved)[volume])


def _files(source: IO[bytes]) -> Iterator[File]:
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for entry in tar:
            if (file := File.of(tar, entry)) is not None:
                yield file
    # What stands behind the end of the archive.
    while source.read(2**20):
        pass
