"""Name the secrets and files that are objects of a Swarm by what they hold, which it can't change: pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from stack.engines.docker.resolving import workload_of
from stack.fields import digest
from stack.frozen import dataclass
from stack.instance import Instance

_LONGEST_NAME = 48


@dataclass(frozen=True)
class Place:
    """What the text depends on beside the declaration.

    `mesh`: nodes have virtual addresses and the routing mesh. `images`: the image of each component that is built, with
    its digest. `secrets`: the value of each secret that exists, `salt` what hides it in the name of its object.
    `files`: where the files are that the client reads.
    """

    mesh: bool
    files: Path
    images: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    salt: str = field(default="", repr=False)


@dataclass(frozen=True)
class Carried:
    """A file that is an object of the Swarm: `name` is that of the object, and `path` where the client reads it."""

    name: str
    path: Path
    data: bytes = field(repr=False)


def carried_secrets(instance: Instance, place: Place) -> dict[str, Carried]:
    """Return each secret that is read from a file. Another value makes another object: Swarm can't change one."""
    return {
        id_: Carried(
            _object_name(id_, _keyed(place.salt, instance.project, value.encode())),
            instance.secret_file(id_),
            value.encode(),
        )
        for id_ in instance.secret_files("container")
        if (value := place.secrets.get(id_)) is not None
    }


def carried_files(instance: Instance, place: Place, component: str) -> dict[str, tuple[Carried, str, int]]:
    """Return each file that a component finds in its container: the object, where it is, and its mode."""
    found: dict[str, tuple[Carried, str, int]] = {}
    for file in workload_of(instance, component).files:
        content = instance.content(file)
        for number, entry in enumerate(content.entries if content is not None else ()):
            name = _object_name(f"{file.name}-{number}", digest(f"{instance.project} {entry.data.hex()}"))
            target = f"{file.target}/{entry.path}" if entry.path else file.target
            mode = 0o555 if entry.executable else 0o444
            found[f"{file.name}-{number}"] = (Carried(name, place.files / name, entry.data), target, mode)
    return found


def _object_name(name: str, mark: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)[:_LONGEST_NAME]}_{mark}"


def _keyed(salt: str, project: str, value: bytes) -> str:
    return hmac.new(salt.encode(), project.encode() + b"\0" + value, "sha256").hexdigest()[:12]
