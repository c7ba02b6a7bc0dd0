"""Stop and delete through python-on-whales; no other module imports it.

It gets what needs neither a time limit nor progress nor standard input, and runs once in a command that takes
seconds anyway: `stop`, `down`, `reset`, `prune`, and the deletion of a volume that was replaced. Its import takes
0.2 s and waits for the first call, so no other command pays for it. What `up` removes on its way goes through
`stack.engines.docker.client`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stack.engines.docker import client

if TYPE_CHECKING:
    from python_on_whales import DockerClient


def stop_project(name: str, file: Path, services: Collection[str] = (), host: str | None = None) -> None:
    """Stop the services of a project, all of them if none is named."""
    _run("compose stop", lambda docker: docker.compose.stop([*services] or None, stream_logs=False), name, file, host)


def remove_project(name: str, file: Path, data: bool = False, host: str | None = None) -> None:
    """Stop and remove the containers and networks of a project; with `data` its volumes and built images too."""

    def remove(docker: DockerClient) -> None:
        if data:
            # A clean shutdown is of no use to data that is deleted.
            docker.compose.down(remove_orphans=True, volumes=True, remove_images="local", timeout=0, quiet=True)
        else:
            docker.compose.down(remove_orphans=True, quiet=True)

    _run("compose down", remove, name, file, host)


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
    if names:
        _run(what, carry_out, host=host)


def _run(
    what: str,
    carry_out: Callable[[DockerClient], None],
    project: str | None = None,
    file: Path | None = None,
    host: str | None = None,
) -> None:
    """Carry out one command. Raises `docker-client`, or the error that Docker's own words stand for."""
    call = _client_call(host)
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    try:
        carry_out(DockerClient(client_call=call, compose_files=[file] if file else [], compose_project_name=project))
    except DockerException as error:
        raise client.failed(what, error.stderr or error.stdout or "", host) from error


def _client_call(host: str | None) -> list[str]:
    """Call the docker client without the variables that change a project; python-on-whales passes on all there are."""
    docker, wanted = client.find(), client.environment(host)
    dropped = [word for name in sorted(os.environ.keys() - wanted.keys()) for word in ("-u", name)]
    given = [f"DOCKER_HOST={wanted['DOCKER_HOST']}"] if host is not None else []
    return ["env", *dropped, *given, docker] if dropped or given else [docker]
