"""Save and restore the last known good revision of an embedded instance: its configuration, and what belongs to it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from stack.engines.base import Revisions
from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.layout import Home
from stack.engines.embedded.supervisor import Supervisor
from stack.engines.process import FinishedJob, Job
from stack.files import update_text

_GOOD = "good-"


class EmbeddedRevisions(Revisions):
    """The last known good revision of an instance; see `stack.engines.base.Revisions`."""

    def __init__(self, home: Home, files: HomeFiles, supervisor: Supervisor) -> None:
        self._home = home
        self._files = files
        self._supervisor = supervisor

    def save(self) -> None:
        with self._files.changing():
            conf = self._home.configuration.parent
            for path in (self._home.configuration, self._home.applied, *conf.glob(self._home.variables("*").name)):
                update_text(_good(path), path.read_text(encoding="utf-8"))
            self._files.remove_spare_copies()

    def exists(self) -> bool:
        return _good(self._home.configuration).exists()

    def restore(self, only: Collection[str] = ()) -> Job:
        """Restore the configuration only: the source folder of an app is the user's, and stays as it is."""
        with self._files.changing():
            conf = self._home.configuration.parent
            for path in conf.glob(_good(self._home.variables("*")).name):
                update_text(path.with_name(path.name.removeprefix(_GOOD)), path.read_text(encoding="utf-8"))
        self._supervisor.update(_good(self._home.configuration).read_text(encoding="utf-8"), only=only)
        with self._files.changing():
            update_text(self._home.applied, _good(self._home.applied).read_text(encoding="utf-8"))
        return FinishedJob()


def _good(path: Path) -> Path:
    """Return the path of the last known good version of a file."""
    return path.with_name(f"{_GOOD}{path.name}")
