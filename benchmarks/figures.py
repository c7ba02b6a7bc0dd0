"""What was measured, as values: figures of several rounds, ratios between them, and the targets they are held to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Combine = Callable[[float, float], float]


@dataclass(frozen=True)
class Figure:
    """One thing that was measured once a round.

    `unit` is requests (`/s`) or megabytes a second, seconds (`s`), or megabytes.
    """

    name: str
    unit: Literal["/s", "MB/s", "s", "MB"]
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The distance between the highest and the lowest round, as a part of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


@dataclass(frozen=True)
class Target:
    """A bound for how often one figure holds another, or for a difference in seconds."""

    bound: float
    sense: Literal["at least", "at most"]
    unit: Literal["×", "s"] = "×"

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.sense == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {self.bound:g} {self.unit}"


@dataclass(frozen=True)
class Comparison:
    """What was compared in each round, by the median of the rounds: noise that hits a whole round cancels out."""

    name: str
    target: Target
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        return self.target.is_met(self.median)

    @property
    def verdict(self) -> str:
        """Whether the target is met, and if not, by how much it is missed."""
        if self.met:
            return "met"
        return f"missed by {abs(self.median - self.target.bound) / self.target.bound:.0%}"


@dataclass(frozen=True)
class Result:
    """One row: what was measured, how it compares, and what has to be known beside it."""

    row: str
    title: str
    figures: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()


def ratio(name: str, target: Target, one: Figure, other: Figure) -> Comparison:
    """How often `one` holds `other`, round by round."""
    return Comparison(name, target, _paired(one.values, other.values, lambda a, b: a / b))


def difference(name: str, target: Target, one: Figure, other: Figure) -> Comparison:
    """How much more `one` is than `other`, round by round."""
    return Comparison(name, target, _paired(one.values, other.values, lambda a, b: a - b))


def _paired(ones: Sequence[float], others: Sequence[float], combine: Combine) -> tuple[float, ...]:
    return tuple(combine(one, other) for one, other in zip(ones, others, strict=True))
