"""What long work tells of itself while it runs. The command line decides how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    def step(self, text: str) -> None:
        """Something begins or was decided: `web: building`."""

    def states(self, states: Mapping[str, str]) -> None:
        """The state of each component now; called often, with what did not change too."""


class Silence:
    """Progress that nobody looks at."""

    def step(self, text: str) -> None:
        """Nothing."""

    def states(self, states: Mapping[str, str]) -> None:
        """Nothing."""
