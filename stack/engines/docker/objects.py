"""Look up what a Docker daemon has: over its socket, or through the client if it is not behind one of this machine.

`host`: the server whose daemon is asked; None for the one that the user's environment means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stack.engines.docker import answers, api, arguments, client

READ_TIMEOUT = 30.0


def listed(command: Sequence[str], host: str | None = None) -> tuple[str, ...]:
    """Run a command that lists one name or id a line."""
    return tuple(client.read(command, READ_TIMEOUT, host=host).split())


def container_ids(*filters: str, stopped: bool = True, host: str | None = None) -> tuple[str, ...]:
    """List containers, the newest first; with `stopped` also those that do not run."""
    found = _ask("/containers/json", filters, {"all": "1"} if stopped else {}, host)
    if found is None:
        return listed(arguments.list_containers(*filters, stopped=stopped), host)
    return tuple(each["Id"] for each in found.found)


def container_names(*filters: str, stopped: bool = True, host: str | None = None) -> tuple[str, ...]:
    """List containers by name, the newest first; with `stopped` also those that do not run."""
    found = _ask("/containers/json", filters, {"all": "1"} if stopped else {}, host)
    if found is None:
        command = arguments.list_containers(*filters, layout=arguments.CONTAINER_NAME, stopped=stopped)
        return listed(command, host)
    return tuple(each["Names"][0].removeprefix("/") for each in found.found)


def image_names(*filters: str, host: str | None = None) -> tuple[str, ...]:
    """List images by name and tag, the newest first; one without a name by the beginning of its id."""
    found = _ask("/images/json", filters, host=host)
    if found is None:
        return listed(arguments.list_images(*filters, layout=arguments.IMAGE_NAME), host)
    return tuple(name for each in found.found for name in each["RepoTags"] or (_short(each["Id"]),))


def volume_names(*filters: str, host: str | None = None) -> tuple[str, ...]:
    """List volumes in alphabetical order."""
    found = _ask("/volumes", filters, host=host)
    if found is None:
        return listed(arguments.list_volumes(*filters), host)
    return tuple(sorted(each["Name"] for each in found.found["Volumes"] or ()))


def network_names(*filters: str, host: str | None = None) -> tuple[str, ...]:
    """List networks in alphabetical order."""
    found = _ask("/networks", filters, host=host)
    if found is None:
        return listed(arguments.list_networks(*filters), host)
    return tuple(sorted(each["Name"] for each in found.found))


def inspect(
    containers: Sequence[str] = (),
    images: Sequence[str] = (),
    volumes: Sequence[str] = (),
    host: str | None = None,
) -> list[dict[str, Any]]:
    """Return all objects of these names, except for those that do not exist."""
    paths = [
        *(f"/containers/{name}/json" for name in containers),
        *(f"/images/{name}/json" for name in images),
        *(f"/volumes/{name}" for name in volumes),
    ]
    daemon = api.behind(host)
    found = daemon.get_each(paths, READ_TIMEOUT) if daemon is not None else []
    if daemon is None or None in found:
        return _inspect_by_client([*containers, *_existing([*images, *volumes], host)], host)
    return [each.found for each in found if each is not None and each.found is not None]


def api_version(timeout: float, host: str | None = None) -> str:
    """Return the newest version of the API that the daemon speaks. Raises what `client.read` raises."""
    daemon = api.behind(host)
    found = daemon.get("/version", timeout) if daemon is not None else None
    if found is None or found.found is None:
        return client.read(arguments.api_version(), timeout, host=host).strip()
    return str(found.found["ApiVersion"])


def _existing(names: Sequence[str], host: str | None) -> list[str]:
    """Return those of the names that an image or a volume has.

    `docker inspect` is slow for a name that nothing has: it looks for an object of each kind.
    """
    if not names:
        return []
    present = {*listed(arguments.list_images(layout=arguments.IMAGE_TAGS), host), *volume_names(host=host)}
    return [name for name in names if name in present or answers.tagged(name) in present]


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]


def _ask(
    path: str, filters: Sequence[str], query: dict[str, str] | None = None, host: str | None = None
) -> api.Answer | None:
    """Ask the daemon itself for what all of these filters select; None if it can't be asked so."""
    daemon = api.behind(host)
    if daemon is None:
        return None
    selected: dict[str, list[str]] = {}
    for each in filters:
        key, _, value = each.partition("=")
        selected.setdefault(key, []).append(value)
    found = daemon.get(path, READ_TIMEOUT, {**(query or {}), "filters": json.dumps(selected)})
    return found if found is not None and found.found is not None else None


def _inspect_by_client(names: Sequence[str], host: str | None) -> list[dict[str, Any]]:
    if not names:
        return []
    answer = client.run(arguments.inspect(names), READ_TIMEOUT, host=host)
    unexpected = [line for line in answer.stderr.splitlines() if "no such" not in line.lower()]
    if not answer.ok and unexpected:
        raise client.failed("inspect", answer.stderr, host)
    found: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
    return found
