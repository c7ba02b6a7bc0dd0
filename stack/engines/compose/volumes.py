"""Find, read, write and delete the volumes of a project.

The files of a volume pass as a tar through a container that mounts it and never runs: so it works with any image, also
with one that has neither a shell nor `tar`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import IO

from stack.engines.base import Volumes
from stack.engines.compose import machine, render
from stack.engines.compose.arguments import of_project
from stack.engines.compose.offline import await_offline_servers
from stack.engines.docker import arguments, client, removal
from stack.engines.docker.objects import READ_TIMEOUT, listed
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import VolumeId

# Compose's own label for what is not one of the project's services: it is removed if a command leaves it.
_ONE_OFF = "com.docker.compose.oneoff"


class ComposeVolumes(Volumes):
    """The volumes of a project; see `stack.engines.base.Volumes`. Only a container could see a version in one."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def declared(self) -> Mapping[VolumeId, str]:
        return render.volumes(self._instance)

    def existing(self) -> tuple[str, ...]:
        return listed(arguments.list_volumes(of_project(self._instance.project)))

    def remove(self, name: str) -> None:
        await_offline_servers(self._instance)
        removal.remove_volumes([name])

    @contextlib.contextmanager
    def read(self, volume: VolumeId) -> Iterator[IO[bytes]]:
        with _mounted(self._instance, volume) as (container, target):
            command = client.command(arguments.copy_out(container, target))
            with Pipe(command, client.environment(), take=True) as pipe:
                yield pipe.output
                if pipe.finish():
                    raise _failed("save-failed", volume, "read", pipe.complaint)

    @contextlib.contextmanager
    def write(self, volume: VolumeId) -> Iterator[IO[bytes]]:
        with _mounted(self._instance, volume) as (container, target):
            command = client.command(arguments.copy_in(container, target))
            with Pipe(command, client.environment(), feed=True) as pipe:
                try:
                    yield pipe.input
                except BrokenPipeError as error:
                    pipe.finish()
                    raise _failed("restore-failed", volume, "written", pipe.complaint) from error
                if pipe.finish():
                    raise _failed("restore-failed", volume, "written", pipe.complaint)

    def free_space(self) -> int | None:
        return machine.free_space()


@contextlib.contextmanager
def _mounted(instance: Instance, volume: VolumeId) -> Iterator[tuple[str, str]]:
    """Create a container on the volume, which is made if it does not exist. Give its name and where the volume is."""
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
