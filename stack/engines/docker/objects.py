"""Look up what a Docker daemon has: over its socket, or through the client if it is not behind one of this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stack.engines.docker import answers, api, arguments, client

READ_TIMEOUT = 30.0


def listed(command: Sequence[str]) -> tuple[str, ...]:
    """Run a command that lists one name or id a line."""
    return tuple(client.read(command, READ_TIMEOUT).split())


def container_ids(*filters: str, stopped: bool = True) -> tuple[str, ...]:
    """List containers, the newest first; with `stopped` also those that do not run."""
    found = _ask("/containers/json", filters, {"all": "1"} if stopped else {})
    if found is None:
        return listed(arguments.list_containers(*filters, stopped=stopped))
    return tuple(each["Id"] for each in found.found)


def volume_names(*filters: str) -> tuple[str, ...]:
    """List volumes in alphabetical order."""
    found = _ask("/volumes", filters)
    if found is None:
        return listed(arguments.list_volumes(*filters))
    return tuple(sorted(each["Name"] for each in found.found["Volumes"] or ()))


def network_names(*filters: str) -> tuple[str, ...]:
    """List networks in alphabetical order."""
    found = _ask("/networks", filters)
    if found is None:
        return listed(arguments.list_networks(*filters))
    return tuple(sorted(each["Name"] for each in found.found))


def inspect(
    containers: Sequence[str] = (), images: Sequence[str] = (), volumes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return all objects of these names, except for those that do not exist."""
    paths = [
        *(f"/containers/{name}/json" for name in containers),
        *(f"/images/{name}/json" for name in images),
        *(f"/volumes/{name}" for name in volumes),
    ]
    daemon = api.local()
    found = [daemon.get(path, READ_TIMEOUT) for path in paths] if daemon is not None else []
    if daemon is None or None in found:
        return _inspect_by_client([*containers, *_existing([*images, *volumes])])
    return [each.found for each in found if each is not None and each.found is not None]


def _existing(names: Sequence[str]) -> list[str]:
    """Return those of the names that an image or a volume has.

    `docker inspect` is slow for a name that nothing has: it looks for an object of each kind.
    """
    if not names:
        return []
    present = {*listed(arguments.list_images(layout=arguments.IMAGE_TAGS)), *volume_names()}
    return [name for name in names if name in present or answers.tagged(name) in present]


def _ask(path: str, filters: Sequence[str], query: dict[str, str] | None = None) -> api.Answer | None:
    """Ask the daemon itself for what all of these filters select; None if it can't be asked so."""
    daemon = api.local()
    if daemon is None:
        return None
    selected: dict[str, list[str]] = {}
    for each in filters:
        key, _, value = each.partition("=")
        selected.setdefault(key, []).append(value)
    found = daemon.get(path, READ_TIMEOUT, {**(query or {}), "filters": json.dumps(selected)})
    return found if found is not None and found.found is not None else None


def _inspect_by_client(names: Sequence[str]) -> list[dict[str, Any]]:
    if not names:
        return []
    answer = client.run(arguments.inspect(names), READ_TIMEOUT)
    unexpected = [line for line in answer.stderr.splitlines() if "no such" not in line.lower()]
    if not answer.ok and unexpected:
        raise client.failed("inspect", answer.stderr)
    found: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
    return found
