"""What Docker has on this machine, of all instances and of others."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from stack.engines.compose import render
from stack.engines.docker import client
from stack.errors import StackError
from stack.instance import name_of_project
from stack.observed import Found, Leftovers
from stack.ports import Holder, Listener
from stack.registry import Entry
from stack.workload import PortId

_READ_TIMEOUT = 10.0
# Docker adds up the files of each volume.
_SIZES_TIMEOUT = 10.0
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_PUBLISHED = re.compile(r"127\.0\.0\.1:(\d+)->")


@dataclass
class _Parts:
    """What was found of one project so far."""

    instance: str = ""
    states: list[Path] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    components: dict[str, str] = field(default_factory=dict)
    ports: dict[PortId, int] = field(default_factory=dict)
    made: list[datetime] = field(default_factory=list)


class ComposeFleet:
    """See `stack.engines.base.Fleet`."""

    name = "compose"

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        layout = "\t".join(["{{.Names}}", _label(render.LABEL_INSTANCE), _label(render.LABEL_STATE)])
        try:
            answer = client.read(["ps", "--filter", f"publish={port}", "--format", layout], _READ_TIMEOUT)
        except StackError:
            # Without Docker no container has it.
            return None
        for line in answer.splitlines():
            container, instance, state = line.split("\t", 2)
            who = f"the container {container}"
            if instance:
                who += f", of the instance {instance!r} ({state})"
            return Holder(who, f"`docker stop {container}`", Path(state) if state else None)
        return None

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        parts: dict[str, _Parts] = defaultdict(_Parts)
        own = ["{{.State}}", "{{.Status}}", "{{.Ports}}", "{{.CreatedAt}}", _label(render.LABEL_SERVICE)]
        for name, of, (state, status, ports, created, service) in _labelled(["ps", "--all"], "{{.Names}}", own, parts):
            of.names["containers"].append(name)
            of.components[service] = summary(state, status)
            of.made.append(_time(created))
            if published := _PUBLISHED.search(ports):
                of.ports[PortId.of(service)] = int(published[1])
        for kind in ("network", "volume"):
            for name, of, _ in _labelled([kind, "ls"], "{{.Name}}", [], parts):
                of.names[f"{kind}s"].append(name)
        for image in _images():
            of = parts[_project(image)]
            of.instance = of.instance or name_of_project(_project(image))
            # An image without a name is of any instance, or of none: `untagged` sees to it.
            of.names["images"] += image.get("RepoTags") or []
        return [_found(project, of) for project, of in sorted(parts.items()) if of.names["images"] or of.states]

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        if not any(each.leftovers.volumes for each in found):
            return {}
        answer = client.read(["system", "df", "--verbose", "--format", "{{json .Volumes}}"], _SIZES_TIMEOUT)
        volumes = {volume["Name"]: size_of(volume["Size"]) for volume in json.loads(answer)}
        sizes = {each.project: [volumes.get(name) for name in each.leftovers.volumes] for each in found}
        return {project: sum(each) for project, each in _known(sizes).items()}

    def remove(self, found: Found, data: bool) -> None:
        left = found.leftovers
        steps = [
            (["container", "stop"], left.containers),
            (["container", "rm", "--force"], left.containers),
            (["network", "rm"], left.networks),
            (["image", "rm"], left.images),
            (["volume", "rm"], left.volumes if data else ()),
        ]
        for command, names in steps:
            if names:
                client.read([*command, *names], client.STOP_TIMEOUT)

    def untagged(self) -> Mapping[str, str]:
        images = {str(image["Id"]): name_of_project(_project(image)) for image in _images("--filter", "dangling=true")}
        if not images:
            return {}
        containers = client.read(["ps", "--all", "--quiet"], _READ_TIMEOUT).split()
        used = {container["Image"] for container in _inspect("container", containers)}
        return {image: instance for image, instance in images.items() if image not in used}

    def remove_images(self, images: Sequence[str]) -> None:
        # Not forced: Docker refuses for what came into use meanwhile.
        client.read(["image", "rm", *images], _READ_TIMEOUT)


def _label(name: str) -> str:
    return f'{{{{.Label "{name}"}}}}'


def _labelled(
    listing: Sequence[str], name: str, own: Sequence[str], parts: Mapping[str, _Parts]
) -> Iterable[tuple[str, _Parts, list[str]]]:
    """Each thing with our labels: its name, the project that it belongs to, and its values for `own`."""
    labels = [_label(label) for label in (render.LABEL_PROJECT, render.LABEL_INSTANCE, render.LABEL_STATE)]
    filters = ["--filter", f"label={render.LABEL_STATE}", "--format", "\t".join([name, *own, *labels])]
    for line in client.read([*listing, *filters], _READ_TIMEOUT).splitlines():
        found, *values = line.split("\t", 3 + len(own))
        project, instance, state = values[len(own) :]
        of = parts[project]
        of.instance = instance
        if Path(state) not in of.states:
            of.states.append(Path(state))
        yield found, of, values[: len(own)]


def _images(*filters: str) -> list[dict[str, Any]]:
    """What Docker knows of each image that was built for one of our projects."""
    listing = ["image", "ls", "--quiet", "--no-trunc", "--filter", f"label={render.LABEL_PROJECT}", *filters]
    ids = dict.fromkeys(client.read(listing, _READ_TIMEOUT).split())
    images = _inspect("image", list(ids))
    return [image for image in images if name_of_project(_project(image)) != _project(image)]


def _project(image: Mapping[str, Any]) -> str:
    return str(image["Config"]["Labels"][render.LABEL_PROJECT])


def _inspect(kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """What is gone meanwhile is left out."""
    if not names:
        return []
    found: list[dict[str, Any]] = json.loads(client.run([kind, "inspect", *names], _READ_TIMEOUT).stdout or "[]")
    return found


def _found(project: str, parts: _Parts) -> Found:
    return Found(
        engine="compose",
        project=project,
        instance=parts.instance,
        states=tuple(parts.states),
        components=parts.components,
        ports=parts.ports,
        leftovers=Leftovers(**{kind: tuple(names) for kind, names in parts.names.items()}),
        since=min(parts.made, default=None),
    )


def summary(state: str, status: str) -> str:
    """The word for a container of which `docker ps` says `running` and `Up 3 minutes (unhealthy)`."""
    if state != "running":
        return state
    words = {"(healthy)": "healthy", "(unhealthy)": "unhealthy", "(health: starting)": "starting"}
    return next((word for mark, word in words.items() if status.endswith(mark)), "running")


def size_of(text: str) -> int | None:
    """`48.25MB` in bytes; None for `N/A`."""
    found = re.fullmatch(r"([\d.]+)([kMGT]?B)", text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def _known(sizes: Mapping[str, list[int | None]]) -> dict[str, list[int]]:
    """Those of which every part is known, and there is one."""
    known = {name: [part for part in parts if part is not None] for name, parts in sizes.items()}
    return {name: parts for name, parts in known.items() if parts and len(parts) == len(sizes[name])}


def _time(text: str) -> datetime:
    """`2026-11-24 12:56:45 +0000 UTC`"""
    return datetime.strptime(text[:25], "%Y-%m-%d %H:%M:%S %z")
