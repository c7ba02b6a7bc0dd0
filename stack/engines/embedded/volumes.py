"""Find, read, write and delete the volumes of an embedded instance, with the rights of the servers' user."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from stack.copying import FileCopy
from stack.engines.base import Volumes
from stack.engines.embedded.data_folders import all_volumes, await_unused, declared_volumes, discard
from stack.engines.embedded.folder_copy import FolderCopy
from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.layout import Home, home_of
from stack.engines.embedded.namespace import command_as
from stack.engines.embedded.user import RunAs, make_private
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import VolumeId

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


class EmbeddedVolumes(Volumes):
    """The volumes of an instance, each a folder that is named by its path; see `stack.engines.base.Volumes`."""

    def __init__(self, instance: Instance, home: Home, files: HomeFiles) -> None:
        self._instance = instance
        self._home = home
        self._files = files

    def declared(self) -> Mapping[VolumeId, str]:
        return {volume.id: str(self._home.volume(volume.id)) for volume in declared_volumes(self._instance)}

    def existing(self) -> tuple[str, ...]:
        return all_volumes(self._instance, self._home)

    def remove(self, name: str) -> None:
        await_unused(self._instance.stack, Path(name))
        with self._files.changing():
            discard(Path(name))

    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        return _reading(self._home.volume(volume), self._files.run_as)

    def write(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        self._files.make()
        folder, run_as = self._home.volume(volume), self._files.run_as
        with self._files.changing():
            make_private(folder, run_as)
        return _writing(folder, run_as)

    @contextlib.contextmanager
    def copying(self, source: Instance, volume: VolumeId) -> Iterator[FileCopy]:
        home = home_of(source)
        self._files.make()
        folder, run_as = self._home.volume(volume), self._files.run_as
        with self._files.changing():
            make_private(folder, run_as)
        yield FolderCopy(home.volume(volume), HomeFiles(source, home).run_as, folder, run_as)

    def free_space(self) -> int | None:
        folder = next(each for each in (self._home.folder, *self._home.folder.parents) if each.is_dir())
        return shutil.disk_usage(folder).free

    def version(self, component: str) -> int | None:
        own = self._instance.stack[component].data_folder
        return own.major(self._home.data(component)) if own else None


@contextlib.contextmanager
def _reading(folder: Path, run_as: RunAs | None) -> Iterator[IO[bytes]]:
    """Yield a tar of the files in a folder. Raises `save-failed`."""
    command = command_as(["tar", "-C", str(folder), "-cf", "-", "."], folder.parent, run_as)
    with Pipe(command, _ENVIRONMENT, take=True) as tar:
        yield tar.output
        if tar.finish():
            raise StackError("save-failed", f"{folder} can't be read", "see what is in it", tar.complaint)


@contextlib.contextmanager
def _writing(folder: Path, run_as: RunAs | None) -> Iterator[IO[bytes]]:
    """Unpack the tar that is written into the stream, in a folder that exists. Raises `restore-failed`."""
    command = command_as(["tar", "-C", str(folder), "-xpf", "-"], folder.parent, run_as)
    with Pipe(command, _ENVIRONMENT, feed=True) as tar:
        with contextlib.suppress(BrokenPipeError):  # its stderr tells why
            yield tar.input
        if tar.finish():
            raise StackError("restore-failed", f"{folder} can't be written", "see its disk", tar.complaint)
