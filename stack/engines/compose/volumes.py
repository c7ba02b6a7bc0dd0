"""Find and delete the volumes of a project, and give them to the users that its containers run as."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import IO

from stack.copying import FileCopy
from stack.engines.base import Volumes
from stack.engines.compose import machine
from stack.engines.compose.arguments import of_project
from stack.engines.compose.offline import await_offline_servers
from stack.engines.docker import arguments, client, resolving
from stack.engines.docker.objects import READ_TIMEOUT, volume_names
from stack.engines.docker.owners import give_new
from stack.instance import Instance
from stack.workload import VolumeId

_GIVEN = "volumes-given"


class ComposeVolumes(Volumes):
    """The volumes of a project; see `stack.engines.base.Volumes`. Only a container could see a version in one."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def declared(self) -> Mapping[VolumeId, str]:
        return resolving.volumes(self._instance)

    def existing(self) -> tuple[str, ...]:
        return volume_names(of_project(self._instance.project), host=self._instance.host)

    def remove(self, name: str) -> None:
        await_offline_servers(self._instance)
        client.read(arguments.remove_volumes([name]), READ_TIMEOUT, host=self._instance.host)

    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.compose import volume_files

        return volume_files.read(self._instance, volume)

    def write(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.compose import volume_files

        return volume_files.write(self._instance, volume)

    def copying(self, source: Instance, volume: VolumeId) -> AbstractContextManager[FileCopy]:
        from stack.engines.compose import volume_copy

        return volume_copy.copying(source, self._instance, volume)

    def free_space(self) -> int | None:
        return machine.free_space() if self._instance.host is None else None


def give_to_users(instance: Instance) -> None:
    """Give each new volume to the user that its container runs as."""

    def give(volume: VolumeId, user: str) -> None:
        # It takes a while to import, and most commands give nothing.
        from stack.engines.compose import volume_files

        volume_files.give(instance, volume, user)

    give_new(instance, instance.generated(_GIVEN), resolving.volumes(instance), give)
