"""Save and restore the last known good revision of an instance: its stack file, and the values that belong to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from stack.engines.base import Revisions
from stack.engines.process import Job
from stack.engines.swarm import files, render
from stack.engines.variables import with_secrets
from stack.instance import Instance
from stack.state import State

_GOOD = f"{files.FOLDER}/good.yaml"
_VALUES = f"{files.FOLDER}/good.env"
_AGAIN = f"{files.FOLDER}/again.yaml"
Restore = Callable[[Path, Mapping[str, str], Collection[str]], Job]


class SwarmRevisions(Revisions):
    """See `stack.engines.base.Revisions`. `deploy` runs a stack file; `clean` removes objects that nothing has."""

    def __init__(self, instance: Instance, deploy: Restore, clean: Callable[[], None]) -> None:
        self._instance = instance
        self._state = State(instance.state)
        self._deploy = deploy
        self._clean = clean

    def save(self) -> None:
        names = [name for name in self._instance.stack.lasting if name not in self._instance.stopped]
        text = render.render(self._instance, files.place_of(self._instance), names, configs_made=True)
        self._state.write(_GOOD, text)
        self._state.write(_VALUES, json.dumps(files.given_values(self._instance, names, marked=True)))
        self._clean()

    def exists(self) -> bool:
        return (self._state.folder / _GOOD).exists()

    def restore(self, only: Collection[str] = ()) -> Job:
        from stack.engines.docker.project_text import read_project, write_project

        kept: dict[str, str] = json.loads((self._state.folder / _VALUES).read_text(encoding="utf-8"))
        values = {name: with_secrets(self._instance, text) for name, text in kept.items()}
        good = read_project((self._state.folder / _GOOD).read_text(encoding="utf-8"))
        services = {name: each for name, each in good["services"].items() if not only or name in only}
        # A password may have been rotated since, and the data has the new one.
        now = read_project(files.write_stack(self._instance, self._instance.stack.lasting).read_text(encoding="utf-8"))
        secrets = {"secrets": {**good.get("secrets", {}), **now.get("secrets", {})}} if "secrets" in good else {}
        path = self._state.write(_AGAIN, write_project({**good, **secrets, "services": services}))
        return self._deploy(path, values, [*services])
