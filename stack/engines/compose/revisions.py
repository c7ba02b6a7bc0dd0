"""Save and restore the last known good revision of an instance: its project file, and a tag on each built image."""

from __future__ import annotations

from stack.engines.compose import render
from stack.engines.compose.files import CONFIGURATION
from stack.engines.docker import arguments, client
from stack.engines.docker.objects import READ_TIMEOUT
from stack.instance import Instance
from stack.state import State

_GOOD = "compose/good.yaml"
_GOOD_TAG = "good"


def save(instance: Instance) -> None:
    """Save what runs now as the last known good revision."""
    state = State(instance.state)
    state.write(_GOOD, (instance.state / CONFIGURATION).read_text(encoding="utf-8"))
    for image in _built_images(instance):
        client.read(arguments.tag(image, f"{image}:{_GOOD_TAG}"), READ_TIMEOUT)


def exists(instance: Instance) -> bool:
    return (instance.state / _GOOD).exists()


def restore(instance: Instance) -> None:
    """Put back the project file and the images of the last known good revision; `compose up` then runs it."""
    state = State(instance.state)
    state.write(CONFIGURATION, (instance.state / _GOOD).read_text(encoding="utf-8"))
    for image in _built_images(instance):
        # An image that was not built then has no such tag.
        client.run(arguments.tag(f"{image}:{_GOOD_TAG}", image), READ_TIMEOUT)


def _built_images(instance: Instance) -> list[str]:
    return [image for name, image in render.images(instance).items() if instance.source(name) is not None]
