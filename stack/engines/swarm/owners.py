"""Give each new volume that a component owns to the user that its container runs as: Docker makes it root's."""

from __future__ import annotations

from stack.engines.docker.resolving import workload_of
from stack.engines.swarm import render
from stack.engines.swarm.cluster import Node
from stack.instance import Instance
from stack.state import State
from stack.workload import VolumeId

# A note says which were given, because Docker can't change a label of a volume.
_GIVEN = "swarm/volumes-given"
ANY = "any"
"""Instead of a user: everyone may write to the folder."""


def give_to_users(instance: Instance, node: Node) -> None:
    """Give the volumes that were not given yet, on the node that has them."""
    stores, noted = render.volumes(instance), instance.state / _GIVEN
    owners = _owners(instance)
    notes = {volume: f"{node.id} {stores[volume]} {user}" for volume, user in owners.items()}
    given = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    missing = [volume for volume, note in notes.items() if note not in given]
    if not missing:
        return
    # It takes a while to import, and most commands give nothing.
    from stack.engines.swarm.volume_files import give

    node.require_known()
    for volume in missing:
        give(instance, node, volume, owners[volume])
    State(instance.state).make_folder("swarm")
    State(instance.state).write(_GIVEN, "".join(f"{note}\n" for note in notes.values()))


def _owners(instance: Instance) -> dict[VolumeId, str]:
    """Return the user and group in numbers of each volume that has to be given to them, or `any`."""
    workloads = {name: workload_of(instance, name) for name in instance.stack.names}
    return {
        volume.id: owner
        for name, workload in workloads.items()
        for volume in workload.volumes
        if volume.owned
        and (volume.shared or volume.id.component == name)
        and (owner := workload.hardening.owner or (ANY if volume.open else None))
    }
