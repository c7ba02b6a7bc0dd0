"""Read and write what is kept for an instance on a Swarm, below its state."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from stack.copies import keep_copies
from stack.engines.docker.resolving import build_of, resolve, workload_of
from stack.engines.swarm import objects, render
from stack.engines.swarm.machine import has_mesh
from stack.engines.variables import given_of, missing_value
from stack.files import write_bytes
from stack.instance import Instance
from stack.state import State

FOLDER = "swarm"
STACK = f"{FOLDER}/stack.yaml"
_PART = f"{FOLDER}/part.yaml"
_BUILDS = f"{FOLDER}/builds.yaml"
_IMAGES = f"{FOLDER}/images.json"
_FILES = "files"
# Hides secrets in the names of their objects, which every user of the Swarm's managers sees.
_SALT = "swarm_salt"


def place_of(instance: Instance) -> objects.Place:
    """Gather what the text depends on beside the declaration; change nothing."""
    state = State(instance.state)
    known = [id_ for id_ in instance.secret_files("container") if state.has_secret(id_)]
    return objects.Place(
        mesh=has_mesh(),
        files=instance.state / FOLDER / _FILES,
        images=_images(instance),
        secrets={id_: state.secret(id_).reveal() for id_ in known},
        salt=state.secret(_SALT).reveal() if state.has_secret(_SALT) else "",
    )


def write_stack(instance: Instance, names: Collection[str] | None = None) -> Path:
    """Write the stack file of all components or of some, and the files that the client reads for it."""
    state = State(instance.state)
    state.make_folder(f"{FOLDER}/{_FILES}")
    state.provide_secret(_SALT)
    place = place_of(instance)
    carried = {
        each.path.name: each
        for name in instance.stack.names
        for each, _, _ in objects.carried_files(instance, place, name).values()
    }
    for each in carried.values():
        if not each.path.exists():
            write_bytes(each.path, each.data, 0o400)
    keep_copies(place.files, carried.keys())
    return state.write(STACK if names is None else _PART, render.render(instance, place, names))


def given_values(instance: Instance, names: Collection[str], *, marked: bool = False) -> dict[str, str]:
    """Return the variables of the client with the secrets and parameters of components. Raises `component-down`.

    With `marked` a mark takes the place of each secret of the state.
    """
    keys = render.given(instance)
    found: dict[str, str] = {}
    for name in names:
        declared = workload_of(instance, name).given_environment
        values = given_of(instance, declared, functools.partial(resolve, instance), marked=marked) if declared else {}
        if values is None:
            raise missing_value(name)
        found |= {keys[name, variable]: value for variable, value in values.items()}
    return found


def write_builds(instance: Instance) -> Path:
    """Write what `docker compose build` is told of the images."""
    from stack.engines.docker.project_text import write_project

    built = [name for name in instance.stack.names if instance.source(name) is not None]
    services = {
        name: {"image": render.repository(instance, name), "build": build_of(instance, name)}
        for name in built
        if workload_of(instance, name).image_of is None
    }
    return State(instance.state).write(_BUILDS, write_project({"services": services}))


def keep_images(instance: Instance, images: Mapping[str, str]) -> None:
    """Remember the image of each component that was built, with its digest."""
    known = {**_images(instance), **images}
    kept = {name: image for name, image in known.items() if name in instance.stack.whole.names}
    State(instance.state).write(_IMAGES, json.dumps(kept, indent=1) + "\n")


def _images(instance: Instance) -> dict[str, str]:
    path = instance.state / _IMAGES
    if not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found
