"""Copy a volume of an instance into that of another on the node that has the data of both."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from stack.copying import FileCopy
from stack.engines.docker import arguments, resolving, volume_copy
from stack.engines.docker.labels import LABEL_INSTANCE
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.swarm import files, render, volume_files
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.placing import pin_data
from stack.engines.swarm.volumes import create_volume
from stack.errors import StackError
from stack.instance import Instance
from stack.workload import VolumeId


def copying(source: Instance, node: Node, target: Instance, volume: VolumeId) -> AbstractContextManager[FileCopy]:
    """Open the copy of a volume; `node` has the data of `source`, and is to have those of `target`.

    Raises `branch-refused` if `target` has data on another node.
    """
    home = pin_data(target, node)
    if home is not None and home.id != node.id:
        raise StackError(
            "branch-refused",
            f"the data of {source.name} is on the node {node.name}, and that of its branch {target.name} on "
            f"{home.name}; nothing was changed",
            f"`stackctl branch delete {target.name}`, and make it again",
        )
    # A node knows an image of a registry by its digest, and may have to look for the tag.
    place = volume_copy.Place(options=tuple(on_host(node.host)), pull="missing")
    name = f"{target.project}-{volume.component}-branch"
    # One that a killed command left ends with it, but Docker may take a moment.
    place.run(arguments.remove_containers([name]), READ_TIMEOUT)
    images = {each: render.image(source, files.place_of(source), each) for each in source.stack.names}
    return volume_copy.copying(
        place,
        volume_copy.Volumes(volume, resolving.volumes(source)[volume], create_volume(target, node, volume)),
        volume_copy.image_with(source, volume, images),
        name,
        {LABEL_INSTANCE: target.name},
        partial(volume_files.read, source, node, volume),
        partial(volume_files.write, target, node, volume),
    )
