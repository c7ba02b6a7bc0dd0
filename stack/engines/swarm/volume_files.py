"""Read and write the files of volumes on the node that has them.

They pass as a tar through a container that mounts the volume and never runs. Its image is empty: the image of the
component may have neither a shell nor `tar`, and need not be on the node.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, cast

from stack.engines.docker import arguments, client
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.docker.resolving import workload_of
from stack.engines.process import Pipe
from stack.engines.swarm import api, render
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.owners import ANY
from stack.engines.swarm.volumes import create_volume
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import Volume, VolumeId

_FOLDER_MODE, _OPEN_MODE = 0o750, 0o777
# More than the headers of the first entry of a tar.
_HEAD = 64 * 1024


@dataclass(frozen=True)
class _Mounted:
    """A container that has a volume at `target`, on a node."""

    node: Node
    container: str
    target: str
    volume: VolumeId

    def pipe(self, words: list[str], *, feed: bool = False, take: bool = False) -> Pipe:
        command = client.command([*on_host(self.node.host), *words])
        return Pipe(command, client.environment(), feed=feed, take=take)


@contextlib.contextmanager
def read(instance: Instance, node: Node, volume: VolumeId) -> Iterator[IO[bytes]]:
    with (
        _mounted(instance, node, volume) as there,
        there.pipe(arguments.copy_out(there.container, there.target), take=True) as pipe,
    ):
        yield pipe.output
        if pipe.finish():
            raise _failed("save-failed", volume, "read", pipe.complaint)


@contextlib.contextmanager
def write(instance: Instance, node: Node, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, node, volume) as there:
        with _copied_in(there, there.target) as sink:
            watched = _Watched(sink)
            yield cast(IO[bytes], watched)
        if (root := watched.root()) is not None:
            _place(there, root)


def give(instance: Instance, node: Node, volume: VolumeId, user: str) -> None:
    """Give the folder of a volume to a user, by its numbers: Docker makes it root's."""
    with _mounted(instance, node, volume) as there:
        root = tarfile.TarInfo()
        root.mode = _FOLDER_MODE
        if user == ANY:
            root.mode = _OPEN_MODE
        else:
            root.uid, root.gid = map(int, user.split(":"))
        _place(there, root)


def declared(instance: Instance, volume: VolumeId) -> Volume:
    workloads = (workload_of(instance, component) for component in instance.stack.names)
    return next(each for workload in workloads for each in workload.volumes if each.id == volume)


def _place(there: _Mounted, root: tarfile.TarInfo) -> None:
    """Give the folder of a volume itself the owner and the mode of an entry of a tar.

    Docker skips an entry for the folder that it copies into, so it is copied into the one above.
    """
    parent, name = posixpath.split(there.target)
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, root.mode, root.uid, root.gid
    folder.mtime = int(time.time())
    with _copied_in(there, parent) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
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


@contextlib.contextmanager
def _copied_in(there: _Mounted, folder: str) -> Iterator[IO[bytes]]:
    with there.pipe(arguments.copy_in(there.container, folder), feed=True) as pipe:
        try:
            yield pipe.input
        except BrokenPipeError as error:
            pipe.finish()
            raise _failed("restore-failed", there.volume, "written", pipe.complaint) from error
        if pipe.finish():
            raise _failed("restore-failed", there.volume, "written", pipe.complaint)


@contextlib.contextmanager
def _mounted(instance: Instance, node: Node, volume: VolumeId) -> Iterator[_Mounted]:
    """Create a container on the volume, which is made if it does not exist."""
    name, target = f"{instance.project}-{volume.component}-copy", declared(instance, volume).target
    store, labels = create_volume(instance, node, volume), {render.LABEL_INSTANCE: instance.name}
    image = _empty_image(instance, node, labels)
    client.run([*on_host(node.host), *arguments.remove_containers([name])], READ_TIMEOUT)
    created = arguments.create_container(name, image, store, target, labels)
    client.read([*on_host(node.host), *created], client.STOP_TIMEOUT)
    try:
        yield _Mounted(node, name, target, volume)
    finally:
        client.run([*on_host(node.host), *arguments.remove_containers([name])], READ_TIMEOUT)


def _empty_image(instance: Instance, node: Node, labels: Mapping[str, str]) -> str:
    """Return the name of an image without files, which is made if the node has none."""
    image = empty_image(instance)
    if api.daemon(node.host).get(f"/images/{image}/json") is None:
        command = client.command([*on_host(node.host), *arguments.import_image(image, labels)])
        with Pipe(command, client.environment(), feed=True) as pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.input.write(bytes(tarfile.RECORDSIZE))
            if pipe.finish():
                raise client.failed("import", pipe.complaint)
    return image


def empty_image(instance: Instance) -> str:
    return f"{instance.project}-volumes:latest"


def _failed(code: str, volume: VolumeId, what: str, output: str) -> StackError:
    component = volume.component
    return StackError(code, f"the volume {volume} can't be {what}", f"see `stackctl doctor`, and {component}", output)
