"""The instances that this user made on this machine: one small JSON file each, in the user's state folder.

Nothing needs it to run. Without it instances are not listed whose engine does not know them, two new ones might choose
the same port, and `prune` is more careful.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from stack import files
from stack.frozen import dataclass
from stack.locks import attempt
from stack.workload import PortId

_SCHEMA = 1
_LOCK_TIMEOUT = 10.0
_LOCK_INTERVAL = 0.02


@dataclass(frozen=True)
class Entry:
    """One instance: `state` is its folder, `file` its stack file, `created` when it was first entered (ISO 8601).

    `host`: the server that it is on, if it is on one.

    `urls`: how clients name those of its ports that are not called as web pages are, with `{port}` for the port.
    """

    project: str
    instance: str
    engine: str
    state: Path
    file: Path
    ports: Mapping[PortId, int]
    created: str
    urls: Mapping[PortId, str] = field(default_factory=dict)
    host: str | None = None

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

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the registry, so that no two commands choose the same port: one at a time.

        If its folder can't be used, the block runs all the same, without the lock.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._make_folder()
                self._acquire(stack)
            yield

    def _acquire(self, stack: contextlib.ExitStack) -> None:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.ExitStack() as tried:
                if tried.enter_context(attempt(self._folder / "lock")):
                    stack.push(tried.pop_all())
                    return
            threading.Event().wait(_LOCK_INTERVAL)

    def ports(self, project: str) -> frozenset[int]:
        """Those of all instances but that of a project."""
        return _ports_of(each for each in self.entries() if each.project != project)

    def enter(self, entry: Entry) -> bool:
        """Enter an instance, and say whether it is a new one. One that can't be written is not listed."""
        known = _read(self._path(entry.project))
        if known is not None:
            entry = replace(entry, created=known.created)
        if entry != known:
            with contextlib.suppress(OSError):
                self._write(entry)
        return known is None

    def remove(self, project: str) -> None:
        """Not an error where it can't be: a line too many is listed."""
        with contextlib.suppress(OSError):
            self._path(project).unlink()

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write(self, entry: Entry) -> None:
        self._make_folder()
        data = {"schema": _SCHEMA, **asdict(entry), "state": str(entry.state), "file": str(entry.file)}
        files.write_text(self._path(entry.project), json.dumps(data, indent=2) + "\n")

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
            ports={PortId(port): int(number) for port, number in data["ports"].items()},
            created=str(data["created"]),
            urls={PortId(port): str(url) for port, url in data.get("urls", {}).items()},
            host=str(data["host"]) if data.get("host") else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
