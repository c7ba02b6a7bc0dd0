"""Copy a volume of a project into that of another on its daemon; see `stack.engines.docker.volume_copy`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from stack.copying import FileCopy
from stack.engines.compose import render, volume_files
from stack.engines.docker import resolving, volume_copy
from stack.instance import Instance
from stack.workload import VolumeId


def copying(source: Instance, target: Instance, volume: VolumeId) -> AbstractContextManager[FileCopy]:
    """Open the copy of a volume of one instance into the same of another; see `stack.engines.base.Volumes`."""
    theirs, own = resolving.volumes(source)[volume], volume_files.make_volume(target, volume)
    return volume_copy.copying(
        volume_copy.Place(target.host),
        volume_copy.Volumes(volume, theirs, own),
        volume_copy.image_with(source, volume, render.images(source)),
        f"{target.project}-{volume.component}-branch",
        volume_files.one_off_labels(target),
        partial(volume_files.read, source, volume),
        partial(volume_files.write, target, volume),
    )
