"""A clock that moves when somebody waits on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    time: float = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds
