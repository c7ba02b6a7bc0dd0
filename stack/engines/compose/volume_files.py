"""Read and write the files of a project's volumes.

They pass as a tar through a container that mounts the volume and never runs. Its image is empty: the image of the
component may have neither a shell nor `tar`, and need not exist yet.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import IO, cast

from stack.engines.compose import render
from stack.engines.compose.offline import await_offline_servers
from stack.engines.compose.volumes import ANY
from stack.engines.docker import arguments, client
from stack.engines.docker.empty_image import make_empty_image
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import Volume, VolumeId

# Compose's own label for what is not one of the project's services: it is removed if a command leaves it.
_ONE_OFF = "com.docker.compose.oneoff"
_FOLDER_MODE = 0o750
# More than the headers of the first entry of a tar.
_HEAD = 64 * 1024
_OPEN_MODE = 0o777


@contextlib.contextmanager
def read(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, volume) as (container, target):
        command = client.command(arguments.copy_out(container, target))
        with Pipe(command, client.environment(instance.host), take=True) as pipe:
            yield pipe.output
            if pipe.finish():
                raise _failed("save-failed", volume, "read", pipe.complaint)


@contextlib.contextmanager
def write(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, volume) as (container, target):
        with _copied_in(instance, container, target, volume) as sink:
            watched = _Watched(sink)
            yield cast(IO[bytes], watched)
        if (root := watched.root()) is not None:
            _place(instance, container, target, volume, root)


def give(instance: Instance, volume: VolumeId, user: str) -> None:
    with _mounted(instance, volume) as (container, target):
        root = tarfile.TarInfo()
        root.mode = _FOLDER_MODE
        if user == ANY:
            root.mode = _OPEN_MODE
        else:
            root.uid, root.gid = map(int, user.split(":"))
        _place(instance, container, target, volume, root)


def _place(instance: Instance, container: str, target: str, volume: VolumeId, root: tarfile.TarInfo) -> None:
    """Give the folder of a volume itself the owner and the mode of an entry of a tar.

    Docker skips an entry for the folder that it copies into, so it is copied into the one above.
    """
    parent, name = posixpath.split(target)
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, root.mode, root.uid, root.gid
    folder.mtime = int(time.time())
    with _copied_in(instance, container, parent, volume) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        tar.addfile(folder)


class _Watched:
    """Hands a tar on, and keeps its beginning: its first entry is the folder that all others are in."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._head = b""

    def write(self, chunk: bytes) -> int:
        self._head += chunk[: max(0, _HEAD - len(self._head))]
        return self._sink.write(chunk)

    def root(self) -> tarfile.TarInfo | None:
        """Return the entry of the folder itself; None for a tar that has none."""
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(self._head)) as tar:
            first = tar.next()
            if first is not None and first.isdir() and posixpath.normpath(first.name) == ".":
                return first
        return None


def _copied_in(instance: Instance, container: str, folder: str, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
    failed = partial(_failed, "restore-failed", volume, "written")
    return copied_in(instance, container, folder, failed)


@contextlib.contextmanager
def copied_in(
    instance: Instance, container: str, folder: str, failed: Callable[[str], StackError]
) -> Iterator[IO[bytes]]:
    """Take a tar of what is copied into a folder of a container. Raises what `failed` makes of Docker's own words."""
    command = client.command(arguments.copy_in(container, folder))
    with Pipe(command, client.environment(instance.host), feed=True) as pipe:
        try:
            yield pipe.input
        except BrokenPipeError as error:
            pipe.finish()
            raise failed(pipe.complaint) from error
        if pipe.finish():
            raise failed(pipe.complaint)


@contextlib.contextmanager
def _mounted(instance: Instance, volume: VolumeId) -> Iterator[tuple[str, str]]:
    """Create a container on the volume, which is made if it does not exist. Give its name and where the volume is."""
    name = f"{instance.project}-{volume.component}-copy"
    store = make_volume(instance, volume)
    target = _declared(instance, volume).target
    with container_on(instance, name, store, target):
        yield name, target


def make_volume(instance: Instance, volume: VolumeId) -> str:
    """Make a declared volume if it does not exist; return Docker's name for it."""
    await_offline_servers(instance)
    store = render.volumes(instance)[volume]
    project = render.labels(instance) | {render.LABEL_PROJECT: instance.project}
    labels = project | {"com.docker.compose.volume": instance.store_name(_declared(instance, volume))}
    client.read(arguments.create_volume(store, labels), READ_TIMEOUT, host=instance.host)
    return store


def one_off_labels(instance: Instance) -> dict[str, str]:
    """Return the labels of a container that is removed with the next change if a command leaves it."""
    return {render.LABEL_PROJECT: instance.project, _ONE_OFF: "True"}


def _declared(instance: Instance, volume: VolumeId) -> Volume:
    workloads = (render.workload_of(instance, component) for component in instance.stack.names)
    return next(each for workload in workloads for each in workload.volumes if each.id == volume)


@contextlib.contextmanager
def container_on(instance: Instance, name: str, store: str, target: str) -> Iterator[None]:
    """Create a container on a volume that never runs, and remove it after the block."""
    # It is deleted with the instance.
    image = f"{instance.project}-volumes:latest"
    make_empty_image(image, render.labels(instance) | {render.LABEL_PROJECT: instance.project}, instance.host)
    create = arguments.create_container(name, image, store, target, one_off_labels(instance))
    client.read(create, client.STOP_TIMEOUT, host=instance.host)
    try:
        yield
    finally:
        client.run(arguments.remove_containers([name]), READ_TIMEOUT, host=instance.host)


def _failed(code: str, volume: VolumeId, what: str, output: str) -> StackError:
    component = volume.component
    return StackError(code, f"the volume {volume} can't be {what}", f"see `stackctl doctor`, and {component}", output)
