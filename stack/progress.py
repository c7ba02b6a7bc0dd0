"""What long work tells of itself while it runs. The command line decides how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from stack.style import Style

_ENDING = ("created", "exited", "removing", "stopped", "stopping")


class Progress(Protocol):
    def step(self, text: str) -> None:
        """Something begins or was decided: `web: building`."""

    def announce(self, text: Callable[[Style], str]) -> None:
        """What will be done, before it begins: some lines that stand by themselves."""

    def states(self, states: Mapping[str, str]) -> None:
        """The state of each component now; called often, with what did not change too."""


class Silence:
    """Progress that is not displayed."""

    def step(self, text: str) -> None:
        """Nothing."""

    def announce(self, text: Callable[[Style], str]) -> None:
        """Nothing."""

    def states(self, states: Mapping[str, str]) -> None:
        """Nothing."""


class Replacing:
    """Progress that calls a component `replaced` while the old one ends, whatever the engine calls that."""

    def __init__(self, progress: Progress, names: Collection[str]) -> None:
        self.step, self.announce = progress.step, progress.announce
        self._progress = progress
        self._old = set(names)
        self._ending: set[str] = set()

    def states(self, states: Mapping[str, str]) -> None:
        self._progress.states({name: self._shown(name, state) for name, state in states.items()})

    def _shown(self, name: str, state: str) -> str:
        if name not in self._old:
            return state
        if state.startswith(_ENDING):
            self._ending.add(name)
            return "being replaced"
        if state == "starting" or name in self._ending:
            self._old.discard(name)
        return state
