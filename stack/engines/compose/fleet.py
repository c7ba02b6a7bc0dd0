"""Find what Docker has on this machine of every instance, and remove it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast

from stack.engines.compose import render
from stack.engines.docker import arguments, client, removal
from stack.engines.docker.arguments import label, labelled
from stack.engines.docker.labels import LABEL_INSTANCE, LABEL_ONCE, LABEL_STATE
from stack.errors import StackError
from stack.instance import name_of_project
from stack.observed import Found, Resources, StateWord, worst_of
from stack.ports import Holder, Listener
from stack.registry import Entry
from stack.workload import PortId

_READ_TIMEOUT = 10.0
# Docker adds up the files of each volume.
_SIZES_TIMEOUT = 10.0
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_PUBLISHED = re.compile(r"(?:127(?:\.\d+){3}|0\.0\.0\.0):(\d+)(?:-(\d+))?->(\d+)")
_CONTAINER = (
    *(arguments.CONTAINER_NAME, "{{.State}}", "{{.Status}}", "{{.Ports}}", "{{.CreatedAt}}"),
    label(render.LABEL_SERVICE),
    label(LABEL_ONCE),
)
# Those of an object, its project, its instance and the state of that.
_LABELS = 3


class Listing(Protocol):
    """A command of `docker` that lists objects."""

    def __call__(self, *filters: str, layout: str) -> list[str]: ...


@dataclass
class _Parts:
    """What was found of one project so far."""

    instance: str = ""
    states: list[Path] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    words: dict[str, list[StateWord]] = field(default_factory=lambda: defaultdict(list))
    ports: dict[PortId, int] = field(default_factory=dict)
    made: list[datetime] = field(default_factory=list)


class ComposeFleet:
    """See `stack.engines.base.Fleet`. On a server nothing is found but what is in the user's registry."""

    name = "compose"

    def __init__(self, host: str | None = None) -> None:
        """Take the server; None for the daemon that the user's environment means."""
        self._host = host

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        layout = "\t".join([arguments.CONTAINER_NAME, label(LABEL_INSTANCE), label(LABEL_STATE)])
        try:
            listing = arguments.list_containers(f"publish={port}", layout=layout, stopped=False)
            answer = client.read(listing, _READ_TIMEOUT, host=self._host)
        except StackError:
            # Without Docker no container has it.
            return None
        for line in answer.splitlines():
            container, instance, state = line.split("\t", 2)
            owner = f"the container {container}"
            if instance:
                owner += f", of the instance {instance!r} ({state or 'of another machine'})"
            return Holder(owner, f"`docker stop {container}`", Path(state) if state else None)
        return None

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        parts: dict[str, _Parts] = defaultdict(_Parts)
        registered = {
            entry.project: entry.ports for entry in entries if (entry.engine, entry.host) == (self.name, self._host)
        }
        for values in self._rows(arguments.list_containers, _CONTAINER):
            name, of, (state, status, ports, created, service, once) = _part(values, parts)
            of.names["containers"].append(name)
            of.words[service].append(summary(state, status, bool(once)))
            of.made.append(_time(created))
            of.ports |= port_ids(service, published(ports), registered.get(values[-3], {}))
        for kind, listing in (("networks", arguments.list_networks), ("volumes", arguments.list_volumes)):
            for values in self._rows(listing, (arguments.NAME,)):
                name, of, _ = _part(values, parts)
                of.names[kind].append(name)
        for image in self._images():
            of = parts[_project(image)]
            of.instance = of.instance or name_of_project(_project(image))
            # An image without a name is left to `untagged`.
            of.names["images"] += image.get("RepoTags") or []
        return [
            _found(project, of)
            for project, of in sorted(parts.items())
            if (of.names["images"] or of.states) and (self._host is None or project in registered)
        ]

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        if not any(each.resources.volumes for each in found):
            return {}
        answer = client.read(arguments.volume_sizes(), _SIZES_TIMEOUT, host=self._host)
        volumes = {volume["Name"]: size_of(volume["Size"]) for volume in json.loads(answer)}
        sizes = {each.project: [volumes.get(name) for name in each.resources.volumes] for each in found}
        return {project: sum(each) for project, each in _known(sizes).items()}

    def remove(self, found: Found, data: bool) -> None:
        left = found.resources
        removal.stop_containers(left.containers, self._host)
        removal.remove_containers(left.containers, self._host)
        removal.remove_networks(left.networks, self._host)
        removal.remove_images(left.images, self._host)
        if data:
            removal.remove_volumes(left.volumes, self._host)

    def untagged(self) -> Mapping[str, str]:
        images = {str(image["Id"]): name_of_project(_project(image)) for image in self._images("dangling=true")}
        if not images:
            return {}
        containers = client.read(arguments.list_containers(), _READ_TIMEOUT, host=self._host).split()
        used = {container["Image"] for container in self._inspect("container", containers)}
        return {image: instance for image, instance in images.items() if image not in used}

    def remove_images(self, images: Sequence[str]) -> None:
        removal.remove_images(images, self._host)

    def _rows(self, listing: Listing, own: Sequence[str]) -> Iterator[list[str]]:
        """List objects of our projects: each with the values of its own, the first of which is its name, and labels.

        What has our labels and no project of Compose is of an instance on a Swarm.
        """
        state = render.state_label(self._host)
        wanted = (labelled(state), labelled(render.LABEL_PROJECT))
        layout = "\t".join([*own, *map(label, (render.LABEL_PROJECT, LABEL_INSTANCE, state))])
        for line in client.read(listing(*wanted, layout=layout), _READ_TIMEOUT, host=self._host).splitlines():
            # Only the last one, a path, may hold a tab.
            yield line.split("\t", len(own) + _LABELS - 1)

    def _images(self, *filters: str) -> list[dict[str, Any]]:
        """Inspect each image that was built for one of our projects."""
        listing = arguments.list_images(labelled(render.LABEL_PROJECT), *filters)
        ids = dict.fromkeys(client.read(listing, _READ_TIMEOUT, host=self._host).split())
        images = self._inspect("image", list(ids))
        return [image for image in images if name_of_project(_project(image)) != _project(image)]

    def _inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Inspect objects of one kind, except for those that were deleted meanwhile."""
        if not names:
            return []
        answer = client.run(arguments.inspect(names, kind), _READ_TIMEOUT, host=self._host)
        found: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
        return found


def _part(values: Sequence[str], parts: Mapping[str, _Parts]) -> tuple[str, _Parts, Sequence[str]]:
    """Note the labels of an object. Return its name, what it is a part of, and the values between."""
    name, *own, project, instance, state = values
    of = parts[project]
    of.instance = instance
    if Path(state) not in of.states:
        of.states.append(Path(state))
    return name, of, own


def published(ports: str) -> dict[int, int]:
    """Parse what `docker ps` shows as ports: the port of this machine by that of the container.

    `127.0.0.1:9300->9200/tcp, 80/tcp`, and for neighbours `127.0.0.1:9300-9301->9200-9201/tcp`. One that is on every
    address stands there for each kind of these: `0.0.0.0:80->80/tcp, [::]:80->80/tcp`.
    """
    return {
        inner + offset: first + offset
        for first, last, inner in ((int(a), int(b or a), int(c)) for a, b, c in _PUBLISHED.findall(ports))
        for offset in range(last - first + 1)
    }


def port_ids(component: str, ports: Mapping[int, int], registered: Mapping[PortId, int]) -> dict[PortId, int]:
    """Name the published ports of a component as the registry does; if it does not know them, by their number.

    The first one that has no name in the registry is the one that needs none.
    """
    names = {number: id_ for id_, number in registered.items() if id_.component == component}
    found: dict[PortId, int] = {}
    for inner, outer in ports.items():
        plain = PortId.of(component)
        free = plain not in found and plain not in [names.get(each) for each in ports.values()]
        found[names.get(outer) or (plain if free else PortId.of(component, str(inner)))] = outer
    return found


def _project(image: Mapping[str, Any]) -> str:
    return str(image["Config"]["Labels"][render.LABEL_PROJECT])


def _found(project: str, parts: _Parts) -> Found:
    return Found(
        engine="compose",
        project=project,
        instance=parts.instance,
        states=tuple(parts.states),
        components={name: worst_of(words) for name, words in parts.words.items()},
        ports=parts.ports,
        resources=Resources(**{kind: tuple(names) for kind, names in parts.names.items()}),
        since=min(parts.made, default=None),
    )


def summary(state: str, status: str, once: bool = False) -> StateWord:
    """Summarize a container of which `docker ps` prints `running` and `Up 3 minutes (unhealthy)`: `unhealthy`.

    One that runs `once` is done if it has `Exited (0)`.
    """
    if once and status.startswith("Exited (0)"):
        return "done"
    if state != "running":
        return cast(StateWord, state)
    words: dict[str, StateWord] = {"(healthy)": "healthy", "(unhealthy)": "unhealthy", "(health: starting)": "starting"}
    return next((word for mark, word in words.items() if status.endswith(mark)), "running")


def size_of(text: str) -> int | None:
    """Parse a size like `48.25MB`; None for `N/A`."""
    found = re.fullmatch(r"([\d.]+)([kMGT]?B)", text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def _known(sizes: Mapping[str, list[int | None]]) -> dict[str, list[int]]:
    """Return those of which every part is known, and that have one."""
    known = {name: [part for part in parts if part is not None] for name, parts in sizes.items()}
    return {name: parts for name, parts in known.items() if parts and len(parts) == len(sizes[name])}


def _time(text: str) -> datetime:
    """Parse `2026-11-24 12:56:45 +0000 UTC`."""
    return datetime.strptime(text[:25], "%Y-%m-%d %H:%M:%S %z")
