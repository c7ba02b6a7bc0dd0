"""Ask Docker what it is, what it needs and what is left on this machine; `checks` judges the answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stack.engines.compose import arguments as compose
from stack.engines.compose import checks, render
from stack.engines.compose.plugin import remembered
from stack.engines.docker import answers, arguments, client, failures
from stack.engines.docker.labels import LABEL_STATE
from stack.engines.docker.objects import api_version, inspect
from stack.findings import Finding, ok
from stack.instance import Instance

# `start_interval` came with Docker Engine 25 (API 1.44) and Compose 2.24.
_API = (1, 44)
# A part of a volume can be mounted from Docker Engine 26 (API 1.45) on: so a server gets files.
_API_OF_A_SERVER = (1, 45)
# The clients that this process has checked already.
_NEW_ENOUGH: set[tuple[str, str | None]] = set()
_TIMEOUT = 10.0


def check(timeout: float, host: str | None = None) -> None:
    """Check client, daemon and Compose.

    Raises `docker-client`, `docker-daemon`, `docker-permission`, `docker-old`, `compose-missing` and `compose-old`.
    """
    docker = client.find()
    if (docker, host) in _NEW_ENOUGH:
        return
    server = api_version(timeout, host)
    needed = _API if host is None else _API_OF_A_SERVER
    if failures.version_of(server)[:2] < needed:
        raise failures.too_old("docker-old", "Docker's API version", server, _dotted(needed))
    plugin = remembered(docker, lambda: client.read(compose.version(), timeout, host=host), _is_new_enough)
    if not _is_new_enough(plugin):
        raise failures.too_old("compose-old", "Docker Compose", plugin.strip(), _dotted(checks.COMPOSE))
    _NEW_ENOUGH.add((docker, host))


def _is_new_enough(plugin: str) -> bool:
    return failures.version_of(plugin) >= checks.COMPOSE


def examine(instance: Instance, own: bool) -> Iterator[Finding]:
    """Report on Docker itself; with `own` also on the images of the instance; and on what deleted instances left.

    On a server the states of most instances are on other machines, so nothing can be said of what is left there.
    """
    asked = datetime.now(UTC)
    answer = client.run(arguments.info(), _TIMEOUT, host=instance.host)
    info = _object(answer.stdout)
    free = _free(info.get("DockerRootDir", "")) if instance.host is None else None
    docker = checks.Docker(info, answer.stderr, asked, datetime.now(UTC), free)
    if instance.host is not None:
        yield ok("server", f"{instance.host} answers")
    found = tuple(checks.of_docker(docker))
    yield from found
    if all(finding.level != "fail" for finding in found):
        if own:
            yield from checks.of_images(_image_times(instance), datetime.now(UTC))
        if instance.host is None:
            yield checks.of_orphans([each for each in _labelled() if not Path(each.state).is_dir()])


def free_space() -> int | None:
    """Return the bytes that are free where Docker keeps its data, if that is on this machine."""
    return _free(client.read(arguments.info("{{.DockerRootDir}}"), _TIMEOUT, host=None).strip())


def _image_times(instance: Instance) -> dict[str, datetime | None]:
    """Return when each image of the stack was made; None if it does not exist here."""
    tags = {name: answers.tagged(name) for name in render.images(instance).values()}
    present = {tag: entry for entry in inspect(images=[*tags], host=instance.host) for tag in answers.names(entry)}
    return {name: answers.time(present[tag]["Created"]) if tag in present else None for name, tag in tags.items()}


def _labelled() -> list[checks.Labelled]:
    """List the containers, networks and volumes of all projects on this machine."""
    ours = (arguments.labelled(LABEL_STATE), arguments.labelled(render.LABEL_PROJECT))
    state = arguments.label(LABEL_STATE)
    listings = {
        "container": arguments.list_containers(*ours, layout=f"{arguments.CONTAINER_NAME}\t{state}"),
        "network": arguments.list_networks(*ours, layout=f"{arguments.NAME}\t{state}"),
        "volume": arguments.list_volumes(*ours, layout=f"{arguments.NAME}\t{state}"),
    }
    return [
        checks.Labelled(kind, *line.split("\t", 1))
        for kind, listing in listings.items()
        for line in client.read(listing, _TIMEOUT, host=None).splitlines()
    ]


def _object(text: str) -> dict[str, Any]:
    """Parse a JSON object; anything else gives an empty one."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
