"""Save and restore the last known good revision of an instance: its project file, its secret variables, its images."""

from __future__ import annotations

from collections.abc import Callable, Collection

from stack.engines.base import Revisions
from stack.engines.compose import render
from stack.engines.compose.arguments import of_project
from stack.engines.compose.files import CONFIGURATION, remove_spare_files
from stack.engines.docker import arguments, client
from stack.engines.docker.labels import LABEL_ONCE
from stack.engines.docker.objects import READ_TIMEOUT, inspect, network_names
from stack.engines.process import Job
from stack.instance import Instance
from stack.state import State

_GOOD = "good.yaml"
_GOOD_TAG = "good"
_GOOD_FILE = ".good"


class ComposeRevisions(Revisions):
    """The last known good revision of a project; see `stack.engines.base.Revisions`."""

    def __init__(self, instance: Instance, start: Callable[[Collection[str]], Job]) -> None:
        """Take `start`, which runs the project file as it is, or only some of its services."""
        self._instance = instance
        self._state = State(instance.state)
        self._start = start

    def save(self) -> None:
        self._copy(CONFIGURATION, _GOOD)
        for file in self._instance.configuration.glob(f"*.env{_GOOD_FILE}"):
            file.unlink()
        for file in self._instance.configuration.glob("*.env"):
            self._copy(file.name, f"{file.name}{_GOOD_FILE}")
        images = self._built_images()
        if self._instance.stopped:
            # What was never up on purpose may have no image yet.
            images = [image for image in images if inspect(images=[image], host=self._instance.host)]
        for image in images:
            client.read(arguments.tag(image, f"{image}:{_GOOD_TAG}"), READ_TIMEOUT, host=self._instance.host)
        remove_spare_files(self._instance)
        self._remove_spare_networks()

    def exists(self) -> bool:
        return (self._instance.configuration / _GOOD).exists()

    def restore(self, only: Collection[str] = ()) -> Job:
        for file in self._instance.configuration.glob(f"*.env{_GOOD_FILE}"):
            self._copy(file.name, file.stem)
        good = self._copy(_GOOD, CONFIGURATION)
        for image in self._built_images():
            # An image that was not built then has no such tag.
            client.run(arguments.tag(f"{image}:{_GOOD_TAG}", image), READ_TIMEOUT, host=self._instance.host)
        return self._start(_lasting(good, only))

    def _copy(self, source: str, target: str) -> str:
        """Copy a file of the configuration; return its text."""
        text = (self._instance.configuration / source).read_text(encoding="utf-8")
        self._state.write(self._instance.generated(target), text)
        return text

    def _built_images(self) -> list[str]:
        images = render.images(self._instance)
        return [image for name, image in images.items() if self._instance.source(name) is not None]

    def _remove_spare_networks(self) -> None:
        """Remove networks of an earlier declaration. Compose leaves them, and Docker has few address ranges."""
        existing = network_names(of_project(self._instance.project), host=self._instance.host)
        spare = set(existing) - render.networks(self._instance)
        if spare:
            # Docker refuses for a network that a container of the user's own is on: that one stays.
            client.run(arguments.remove_networks(sorted(spare)), READ_TIMEOUT, host=self._instance.host)


def _lasting(text: str, only: Collection[str]) -> list[str]:
    """Return the services of a project file that run on, all or those of `only`; none, if these are simply all.

    What jobs did is not done again.
    """
    if LABEL_ONCE not in text and not only:
        return []
    from stack.engines.docker.project_text import read_services

    services = read_services(text)
    lasting = [name for name, service in services.items() if LABEL_ONCE not in service["labels"]]
    return [name for name in lasting if not only or name in only]
