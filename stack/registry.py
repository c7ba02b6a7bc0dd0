"""The instances that this user made on this machine: one small JSON file each, in the user's state folder.

Nothing needs it to run. Without it instances are not listed whose engine does not know them, two new ones might choose
the same port, and `prune` is more careful.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import filelock

_SCHEMA = 1
_LOCK_TIMEOUT = 10.0


@dataclass(frozen=True)
class Entry:
    """One instance: `state` is its folder, `file` its stack file, `created` when it was first entered (ISO 8601)."""

    project: str
    instance: str
    engine: str
    state: Path
    file: Path
    ports: Mapping[str, int]
    created: str

    @property
    def gone(self) -> bool:
        return is_gone(self.state)


def is_gone(folder: Path) -> bool:
    """Whether there certainly is no such folder; what can't be seen, as another user's, may be there."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


class Registry:
    """The entries in a folder, by project. A file that is damaged, or of another version, is no entry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self) -> list[Entry]:
        found = (_read(path) for path in sorted(self._folder.glob("*.json")))
        return [entry for entry in found if entry is not None]

    def claim(self, project: str, make: Callable[[frozenset[int]], Entry]) -> Entry:
        """Enter what `make` gives for a project, which is told the ports of all others; one command at a time.

        Where the folder can't be used it is made all the same.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with filelock.FileLock(self._folder / "lock", timeout=_LOCK_TIMEOUT, mode=0o600):
                entries = {each.project: each for each in self.entries()}
                known = entries.pop(project, None)
                entry = make(_ports_of(entries.values()))
                self._enter(entry, known)
        except (OSError, filelock.Timeout):
            return make(frozenset())
        return entry

    def ports(self, project: str) -> frozenset[int]:
        """Those of all instances but that of a project."""
        return _ports_of(each for each in self.entries() if each.project != project)

    def remove(self, project: str) -> None:
        """Not an error where it can't be: a line too many is listed."""
        with contextlib.suppress(OSError):
            self._path(project).unlink()

    def _enter(self, entry: Entry, known: Entry | None) -> None:
        if known is not None:
            entry = replace(entry, created=known.created)
        if entry != known:
            path = self._path(entry.project)
            partial = path.with_suffix(".partial")
            data = {"schema": _SCHEMA, **asdict(entry), "state": str(entry.state), "file": str(entry.file)}
            partial.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
            partial.replace(path)

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.json"


def _ports_of(entries: Iterable[Entry]) -> frozenset[int]:
    return frozenset(port for entry in entries if not entry.gone for port in entry.ports.values())


def _read(path: Path) -> Entry | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != _SCHEMA:
            return None
        return Entry(
            project=str(data["project"]),
            instance=str(data["instance"]),
            engine=str(data["engine"]),
            state=Path(data["state"]),
            file=Path(data["file"]),
            ports={str(component): int(port) for component, port in data["ports"].items()},
            created=str(data["created"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
