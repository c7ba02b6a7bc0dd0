"""Read and write the files of a volume as a tar, through a container that mounts it and never runs.

So it works with any image, also with one that has neither a shell nor `tar`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO

from stack.engines.compose import render
from stack.engines.compose.offline import await_offline_servers
from stack.engines.docker import arguments, client
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import VolumeId

# Compose's own label for what is not one of the project's services: it is removed if a command leaves it.
_ONE_OFF = "com.docker.compose.oneoff"


@contextlib.contextmanager
def read_volume(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    """Raises `save-failed` if Docker can't read all of it."""
    with _mounted(instance, volume) as (container, target):
        command = client.command(arguments.copy_out(container, target))
        with Pipe(command, client.environment(), take=True) as pipe:
            yield pipe.output
            if pipe.finish():
                raise _failed("save-failed", volume, "read", pipe.complaint)


@contextlib.contextmanager
def write_volume(instance: Instance, volume: VolumeId) -> Iterator[IO[bytes]]:
    """Raises `restore-failed` if Docker can't write all of it."""
    with _mounted(instance, volume) as (container, target):
        command = client.command(arguments.copy_in(container, target))
        with Pipe(command, client.environment(), feed=True) as pipe:
            try:
                yield pipe.input
            except BrokenPipeError as error:
                pipe.finish()
                raise _failed("restore-failed", volume, "written", pipe.complaint) from error
            if pipe.finish():
                raise _failed("restore-failed", volume, "written", pipe.complaint)


@contextlib.contextmanager
def _mounted(instance: Instance, volume: VolumeId) -> Iterator[tuple[str, str]]:
    """Create a container on the volume, which is made if it is not there. Give its name and where the volume is."""
    await_offline_servers(instance)
    name = f"{instance.project}-{volume.component}-copy"
    (declared,) = (each for each in render.workload_of(instance, volume.component).volumes if each.id == volume)
    store, image = render.volumes(instance)[volume], render.images(instance)[volume.component]
    labels = render.labels(instance) | {
        render.LABEL_PROJECT: instance.project,
        "com.docker.compose.volume": instance.store_name(declared),
    }
    client.read(arguments.create_volume(store, labels), READ_TIMEOUT)
    own = {render.LABEL_PROJECT: instance.project, _ONE_OFF: "True"}
    client.read(arguments.create_container(name, image, store, declared.target, own), client.STOP_TIMEOUT)
    try:
        yield name, declared.target
    finally:
        client.run(arguments.remove_containers([name]), READ_TIMEOUT)


def _failed(code: str, volume: VolumeId, what: str, output: str) -> StackError:
    component = volume.component
    return StackError(code, f"the volume {volume} can't be {what}", f"see `stackctl doctor`, and {component}", output)
