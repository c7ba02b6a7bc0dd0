"""Make images without files, of which containers are made that never run."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Mapping, Sequence

from stack.engines.docker import arguments, client
from stack.engines.docker.objects import inspect
from stack.engines.process import Pipe, StartPipe
from stack.instance import Instance


def empty_image(instance: Instance) -> str:
    """Return the name of the image of containers that mount volumes of an instance; it is deleted with that."""
    return f"{instance.project}-volumes:latest"


def make_empty_image(name: str, labels: Mapping[str, str], host: str | None = None) -> None:
    """Make an image without files, unless one of that name exists."""
    if inspect(images=[name], host=host):
        return

    def start(words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        return Pipe(client.command(words), client.environment(host), feed=feed, take=take)

    import_empty_image(name, labels, start, host)


def import_empty_image(name: str, labels: Mapping[str, str], start: StartPipe, host: str | None = None) -> None:
    """Make an image without files at the daemon that `start` asks."""
    with start(arguments.import_image(name, labels), feed=True) as pipe:
        with contextlib.suppress(BrokenPipeError):
            pipe.input.write(bytes(tarfile.RECORDSIZE))
        if pipe.finish():
            raise client.failed("import", pipe.complaint, host)
