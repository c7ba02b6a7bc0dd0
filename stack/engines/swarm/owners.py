"""Give each new volume to the user that its container runs as, on the node that has it."""

from __future__ import annotations

from stack.engines.docker import resolving
from stack.engines.docker.owners import give_new
from stack.engines.swarm.cluster import Node
from stack.instance import Instance
from stack.workload import VolumeId

_GIVEN = "swarm/volumes-given"


def give_to_users(instance: Instance, node: Node) -> None:
    """Give the volumes that were not given yet. Raises `node-unreachable` if there are any, and no way to the node."""

    def give(volume: VolumeId, user: str) -> None:
        # It takes a while to import, and most commands give nothing.
        from stack.engines.swarm import volume_files

        node.require_known()
        volume_files.give(instance, node, volume, user)

    stores = {volume: f"{node.id} {store}" for volume, store in resolving.volumes(instance).items()}
    give_new(instance, _GIVEN, stores, give)
