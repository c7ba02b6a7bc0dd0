"""Read and write the files of volumes on the node that has them; see `stack.engines.docker.mounted`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import IO

from stack.engines.docker import arguments, client
from stack.engines.docker.empty_image import empty_image, import_empty_image
from stack.engines.docker.labels import LABEL_INSTANCE
from stack.engines.docker.mounted import Mounted
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.docker.resolving import volume_of
from stack.engines.process import Pipe
from stack.engines.swarm import api
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.volumes import create_volume
from stack.instance import Instance
from stack.workload import VolumeId


@contextlib.contextmanager
def read(instance: Instance, node: Node, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, node, volume) as there, there.read() as files:
        yield files


@contextlib.contextmanager
def write(instance: Instance, node: Node, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, node, volume) as there, there.write() as files:
        yield files


def give(instance: Instance, node: Node, volume: VolumeId, user: str) -> None:
    with _mounted(instance, node, volume) as there:
        there.give(user)


@contextlib.contextmanager
def _mounted(instance: Instance, node: Node, volume: VolumeId) -> Iterator[Mounted]:
    """Create a container on the volume, which is made if it does not exist."""
    name, target = f"{instance.project}-{volume.component}-copy", volume_of(instance, volume).target
    store, labels = create_volume(instance, node, volume), {LABEL_INSTANCE: instance.name}
    image = empty_image(instance)

    def start(words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        return Pipe(client.command([*on_host(node.host), *words]), client.environment(), feed=feed, take=take)

    if api.daemon(node.host).get(f"/images/{image}/json") is None:
        import_empty_image(image, labels, start)
    client.run([*on_host(node.host), *arguments.remove_containers([name])], READ_TIMEOUT)
    created = arguments.create_container(name, image, store, target, labels)
    client.read([*on_host(node.host), *created], client.STOP_TIMEOUT)
    try:
        yield Mounted(name, target, volume, start)
    finally:
        client.run([*on_host(node.host), *arguments.remove_containers([name])], READ_TIMEOUT)
