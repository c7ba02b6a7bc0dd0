"""Give each new volume that a component owns to the user that its container runs as: Docker makes it root's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stack.engines.docker.resolving import workload_of
from stack.instance import Instance
from stack.state import State
from stack.workload import VolumeId

ANY = "any"
"""Instead of a user: everyone may write to the folder."""


def give_new(
    instance: Instance, note: str, stores: Mapping[VolumeId, str], give: Callable[[VolumeId, str], None]
) -> None:
    """Give each volume that was not given yet, by its place in `stores`, to its user, in numbers, or to `any`.

    `note`: the file of the state that says which were given, because Docker can't change a label of a volume.
    """
    noted, owners = instance.state / note, _owners(instance)
    notes = {volume: f"{stores[volume]} {user}" for volume, user in owners.items()}
    given = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    missing = [volume for volume, line in notes.items() if line not in given]
    if not missing:
        return
    for volume in missing:
        give(volume, owners[volume])
    State(instance.state).make_folder(str(noted.parent.relative_to(instance.state)))
    State(instance.state).write(note, "".join(f"{line}\n" for line in notes.values()))


def _owners(instance: Instance) -> dict[VolumeId, str]:
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    return {
        volume.id: owner
        for name, workload in workloads.items()
        for volume in workload.volumes
        if volume.owned
        and (volume.shared or volume.id.component == name)
        and (owner := workload.hardening.owner or (ANY if volume.open else None))
    }
