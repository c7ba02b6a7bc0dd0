"""Make images without files, of which containers are made that never run."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Mapping

from stack.engines.docker import arguments, client
from stack.engines.docker.objects import inspect
from stack.engines.process import Pipe
from stack.instance import Instance


def empty_image(instance: Instance) -> str:
    """Return the name of the image of containers that mount volumes of an instance; it is deleted with that."""
    return f"{instance.project}-volumes:latest"


def make_empty_image(name: str, labels: Mapping[str, str], host: str | None = None) -> None:
    """Make an image without files, unless one of that name exists."""
    if inspect(images=[name], host=host):
        return
    command = client.command(arguments.import_image(name, labels))
    with Pipe(command, client.environment(host), feed=True) as pipe:
        with contextlib.suppress(BrokenPipeError):
            pipe.input.write(bytes(tarfile.RECORDSIZE))
        if pipe.finish():
            raise client.failed("import", pipe.complaint, host)
