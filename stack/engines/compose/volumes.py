"""Find and delete the volumes of a project, and give them to the users that its containers run as."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import IO

from stack.engines.base import Volumes
from stack.engines.compose import machine, render
from stack.engines.compose.arguments import of_project
from stack.engines.compose.offline import await_offline_servers
from stack.engines.docker import removal
from stack.engines.docker.objects import volume_names
from stack.instance import Instance
from stack.state import State
from stack.workload import VolumeId

_GIVEN = "volumes-given"
ANY = "any"
"""Instead of a user: everyone may write to the folder."""


class ComposeVolumes(Volumes):
    """The volumes of a project; see `stack.engines.base.Volumes`. Only a container could see a version in one."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def declared(self) -> Mapping[VolumeId, str]:
        return render.volumes(self._instance)

    def existing(self) -> tuple[str, ...]:
        return volume_names(of_project(self._instance.project), host=self._instance.host)

    def remove(self, name: str) -> None:
        await_offline_servers(self._instance)
        removal.remove_volumes([name], self._instance.host)

    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.compose import volume_files

        return volume_files.read(self._instance, volume)

    def write(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        from stack.engines.compose import volume_files

        return volume_files.write(self._instance, volume)

    def free_space(self) -> int | None:
        return machine.free_space() if self._instance.host is None else None


def give_to_users(instance: Instance) -> None:
    """Give each new volume that a component owns to the user that its container runs as: Docker makes it root's.

    A note in the state says which were given, because Docker can't change a label of a volume.
    """
    stores, noted = render.volumes(instance), instance.configuration / _GIVEN
    owners = _owners(instance)
    notes = {volume: f"{stores[volume]} {user}" for volume, user in owners.items()}
    given = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    missing = [volume for volume, note in notes.items() if note not in given]
    if missing:
        # It takes a while to import, and most commands give nothing.
        from stack.engines.compose.volume_files import give

        for volume in missing:
            give(instance, volume, owners[volume])
        State(instance.state).write(instance.generated(_GIVEN), "".join(f"{note}\n" for note in notes.values()))


def _owners(instance: Instance) -> dict[VolumeId, str]:
    """Return the user and group in numbers of each volume that has to be given to them, or `any`."""
    workloads = {name: render.workload_of(instance, name) for name in instance.stack.names}
    return {
        volume.id: owner
        for name, workload in workloads.items()
        for volume in workload.volumes
        if volume.owned
        and (volume.shared or volume.id.component == name)
        and (owner := workload.hardening.owner or (ANY if volume.open else None))
    }
