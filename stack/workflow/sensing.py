"""Learn from the kernel which files change."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

from stack.errors import StackError
from stack.workflow.watched import Watched, files_in

# In milliseconds: how long a look waits, how long nothing has to change, and how long changes are gathered at most.
_LOOK, _QUIET, _LONGEST = 200, 80, 1500
_TRIES = 5


class Sensor:
    """Watch the folders of an instance, each by itself, so that what is left out costs nothing."""

    def __init__(self) -> None:
        self._folders: frozenset[str] = frozenset()
        self._events: Generator[set[tuple[object, str]], None, None] | None = None

    def aim(self, watched: Watched) -> set[Path]:
        """Watch these places from now on. Return the files in folders that were not watched before.

        Raises `watch-limit` if the kernel allows no more.
        """
        before, found, folders = self._folders, set[Path](), _readable(watched)
        if folders == before and self._events is not None:
            return found
        if self._events is not None:
            found |= self._next()
        self.close()
        for _ in range(_TRIES):
            # One of them may be deleted or closed meanwhile.
            with contextlib.suppress(FileNotFoundError, PermissionError), _explained(len(folders)):
                self._events = _watch(folders)
                found |= self._next()
                break
            folders = _readable(watched)
        self._folders = folders
        for folder in folders - before if before else ():
            found.update(files_in(Path(folder)))
        return found

    def wait(self, ended: Callable[[], bool]) -> set[Path]:
        """Return what changed, once nothing changes any more for a moment; nothing, once `ended` is true."""
        while not ended():
            if found := self._next():
                return found
        return set()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _next(self) -> set[Path]:
        assert self._events is not None  # noqa: S101 - `aim` comes first
        changed = {Path(path) for _, path in next(self._events)}
        inside = {file for path in changed if path.is_dir() for file in files_in(path)}
        return changed | inside


def _readable(watched: Watched) -> frozenset[str]:
    """Return the folders that this user may watch.

    watchfiles could leave out the others by itself, but is then as silent about those that the kernel has no room for.
    """
    return frozenset(str(folder) for folder in watched.folders() if os.access(folder, os.R_OK))


def _watch(folders: frozenset[str]) -> Generator[set[tuple[object, str]], None, None]:
    from watchfiles import watch

    return watch(  # type: ignore[return-value]
        *sorted(folders),
        watch_filter=None,
        recursive=False,
        debounce=_LONGEST,
        step=_QUIET,
        rust_timeout=_LOOK,
        yield_on_timeout=True,
    )


@contextlib.contextmanager
def _explained(count: int) -> Generator[None, None, None]:
    """Say which limit of the kernel is reached, and how it is raised."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        text = str(error)
        if getattr(error, "errno", None) == errno.EMFILE or "os error 24" in text or "Too many open files" in text:
            setting, value, what = "max_user_instances", 1024, "this user watches too many folders at once"
        elif getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in text or "limit reached" in text:
            setting, value, what = "max_user_watches", 1048576, f"the kernel does not watch {count} more folders"
        else:
            raise
        hint = f"`sudo sysctl fs.inotify.{setting}={value}`, or leave out folders with .dockerignore or watch=[…]"
        raise StackError("watch-limit", what, hint) from error
