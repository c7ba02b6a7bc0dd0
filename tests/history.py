"""A log of requests, and whether a counter can have answered so.

The rule is Jepsen's for counters (`checker/counter`): each read lies between what was acknowledged before it began and
what was attempted before it ended. And Maelstrom's for the end: the final count is what was acknowledged, and some of
what is not known. A visit of this counter gets a number, which no other has.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["visit", "read"]
Outcome = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True)
class Operation:
    """One request from its start to its end, in seconds of one clock.

    `ok`: answered with `number`; `failed`: certainly not counted; `unknown`: nobody can tell. `stale`: answered with a
    number that may lack visits, and marked so.
    """

    kind: Kind
    page: str
    start: float
    end: float
    outcome: Outcome
    number: int = 0
    stale: bool = False


def violations(operations: Iterable[Operation], final: Mapping[str, int], *, exact_reads: bool = True) -> list[str]:
    """What no right counter can have answered, by page; empty where all is well. All pages began with 0.

    Without `exact_reads` any read may lack visits, as one that is marked stale: what was ever true bounds it.
    """
    by_page: dict[str, list[Operation]] = {page: [] for page in final}
    for operation in operations:
        may_lack = operation.stale or (operation.kind == "read" and not exact_reads)
        by_page.setdefault(operation.page, []).append(replace(operation, stale=may_lack))
    return [f"{page}: {wrong}" for page, log in by_page.items() for wrong in _violations(log, final.get(page, 0))]


def _violations(log: Sequence[Operation], final: int) -> Iterator[str]:
    visits = [each for each in log if each.kind == "visit"]
    counted = [each for each in visits if each.outcome == "ok"]
    attempted = [each for each in visits if each.outcome != "failed"]
    if not len(counted) <= final <= len(attempted):
        yield f"{final} at the end, {len(counted)} acknowledged and {len(attempted)} attempted"
    for number, times in Counter(each.number for each in counted).items():
        if times > 1:
            yield f"the number {number} was given {times} times"
    ends = sorted(each.end for each in counted)
    starts = sorted(each.start for each in attempted)
    highest = _highest_by_end(counted)
    for each in log:
        if each.outcome != "ok":
            continue
        own = 1 if each.kind == "visit" else 0
        before = bisect_left(ends, each.start)
        least = 0 if each.stale else max(before, highest[before])
        most = bisect_right(starts, each.end)
        if not least + own <= each.number <= most:
            how = f"{each.kind} from {each.start:.3f} to {each.end:.3f}"
            yield f"{how} got {each.number}, and from {least + own} to {most} was possible"


def _highest_by_end(counted: Sequence[Operation]) -> list[int]:
    """The highest number among the first n visits to be acknowledged, for each n."""
    highest = [0]
    for each in sorted(counted, key=lambda each: each.end):
        highest.append(max(highest[-1], each.number))
    return highest
