"""Read and write the files of a project's volumes; see `stack.engines.docker.mounted`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

from stack.engines.compose import render
from stack.engines.compose.offline import await_offline_servers
from stack.engines.docker import arguments, client, resolving
from stack.engines.docker.empty_image import empty_image, make_empty_image
from stack.engines.docker.mounted import Mounted
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.process import Pipe
from stack.instance import Instance
from stack.workload import VolumeId

# Compose's own label for what is not one of the project's services: it is removed if a command leaves it.
_ONE_OFF = "com.docker.compose.oneoff"


@contextlib.contextmanager
def read(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, volume) as there, there.read() as files:
        yield files


@contextlib.contextmanager
def write(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    with _mounted(instance, volume) as there, there.write() as files:
        yield files


def give(instance: Instance, volume: VolumeId, user: str) -> None:
    with _mounted(instance, volume) as there:
        there.give(user)


@contextlib.contextmanager
def _mounted(instance: Instance, volume: VolumeId) -> Iterator[Mounted]:
    """Create a container on the volume, which is made if it does not exist."""
    name = f"{instance.project}-{volume.component}-copy"
    store, target = make_volume(instance, volume), resolving.volume_of(instance, volume).target
    with container_on(instance, name, store, target):
        yield Mounted(name, target, volume, partial(start_pipe, instance))


def make_volume(instance: Instance, volume: VolumeId) -> str:
    """Make a declared volume if it does not exist; return Docker's name for it."""
    await_offline_servers(instance)
    store = resolving.volumes(instance)[volume]
    project = render.labels(instance) | {render.LABEL_PROJECT: instance.project}
    labels = project | {"com.docker.compose.volume": instance.store_name(resolving.volume_of(instance, volume))}
    client.read(arguments.create_volume(store, labels), READ_TIMEOUT, host=instance.host)
    return store


def one_off_labels(instance: Instance) -> dict[str, str]:
    """Return the labels of a container that is removed with the next change if a command leaves it."""
    return {render.LABEL_PROJECT: instance.project, _ONE_OFF: "True"}


@contextlib.contextmanager
def container_on(instance: Instance, name: str, store: str, target: str) -> Iterator[None]:
    """Create a container on a volume that never runs, and remove it after the block."""
    image = empty_image(instance)
    make_empty_image(image, render.labels(instance) | {render.LABEL_PROJECT: instance.project}, instance.host)
    create = arguments.create_container(name, image, store, target, one_off_labels(instance))
    client.read(create, client.STOP_TIMEOUT, host=instance.host)
    try:
        yield
    finally:
        client.run(arguments.remove_containers([name]), READ_TIMEOUT, host=instance.host)


def start_pipe(instance: Instance, words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
    return Pipe(client.command(words), client.environment(instance.host), feed=feed, take=take)
