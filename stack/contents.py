"""What a file or a folder holds that a component finds in its container: as a value, to be carried anywhere."""

from __future__ import annotations

import hashlib
from functools import cached_property

from stack.frozen import dataclass


@dataclass(frozen=True)
class Entry:
    """A file. `path` is relative to its folder, with `/`; empty for a file that is in none."""

    path: str
    data: bytes
    executable: bool = False


@dataclass(frozen=True)
class Content:
    """A file, or all files of a folder, in the order of their paths."""

    entries: tuple[Entry, ...]
    is_folder: bool = False

    @classmethod
    def of_text(cls, text: str) -> Content:
        return cls((Entry("", text.encode()),))

    @cached_property
    def digest(self) -> str:
        """Twelve digits that stand for all of it."""
        total = hashlib.sha256(b"folder" if self.is_folder else b"file")
        for entry in self.entries:
            path = entry.path.encode("utf-8", "surrogateescape")
            total.update(b"%d %d %d\0" % (len(path), len(entry.data), entry.executable) + path)
            total.update(entry.data)
        return total.hexdigest()[:12]
