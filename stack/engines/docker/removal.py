"""Delete what is left over, through python-on-whales; no other module imports it.

It gets what needs neither a time limit nor progress nor standard input: what an earlier declaration or a deleted
instance left behind. Its import takes 0.2 s and waits for the first call, so a command that finds nothing left
does not pay for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stack.engines.docker import client

if TYPE_CHECKING:
    from python_on_whales import DockerClient


def stop_containers(names: Sequence[str], host: str | None = None) -> None:
    _each("container stop", names, lambda docker: docker.container.stop([*names]), host)


def remove_containers(names: Sequence[str], host: str | None = None) -> None:
    _each("container rm", names, lambda docker: docker.container.remove([*names], force=True), host)


def remove_networks(names: Sequence[str], host: str | None = None) -> None:
    _each("network rm", names, lambda docker: docker.network.remove([*names]), host)


def remove_volumes(names: Sequence[str], host: str | None = None) -> None:
    _each("volume rm", names, lambda docker: docker.volume.remove([*names]), host)


def remove_images(names: Sequence[str], host: str | None = None) -> None:
    """Remove images. Not forced: Docker refuses for one that a container uses by now."""
    _each("image rm", names, lambda docker: docker.image.remove([*names]), host)


def _each(what: str, names: Sequence[str], carry_out: Callable[[DockerClient], None], host: str | None) -> None:
    """Carry out one command, unless nothing is named.

    Raises `docker-client`, or the error that Docker's own words stand for.
    """
    if not names:
        return
    call = _client_call(host)
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    try:
        carry_out(DockerClient(client_call=call))
    except DockerException as error:
        raise client.failed(what, error.stderr or error.stdout or "", host) from error


def _client_call(host: str | None) -> list[str]:
    """Call the docker client without the variables that change a project; python-on-whales passes on all there are."""
    docker, wanted = client.find(), client.environment(host)
    dropped = [word for name in sorted(os.environ.keys() - wanted.keys()) for word in ("-u", name)]
    given = [f"DOCKER_HOST={wanted['DOCKER_HOST']}"] if host is not None else []
    return ["env", *dropped, *given, docker] if dropped or given else [docker]
