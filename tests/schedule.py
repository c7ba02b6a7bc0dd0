"""Which tests one worker runs one after the other, and which are begun first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Any worker can run a test of these at any time: it has instances of its own, or that of its worker.
ALONE = ("tests/conformance/", "tests/docker/")
# But for these, whose tests share what their module made.
SHARING = (
    "tests/conformance/test_any_component.py",
    "tests/conformance/test_thin_kinds.py",
    "tests/conformance/test_containers.py",
    "tests/conformance/test_databases.py",
    "tests/conformance/test_diff.py",
    "tests/conformance/test_externals.py",
    "tests/conformance/test_fleet.py",
    "tests/conformance/test_jobs.py",
    "tests/conformance/test_parameters.py",
    "tests/conformance/test_plan.py",
    "tests/conformance/test_readme.py",
    "tests/conformance/test_sources.py",
    "tests/conformance/test_values.py",
    "tests/docker/test_networks.py",
    "tests/docker/test_package.py",
)
# And what these share takes so long to make that both engines use the same.
_SHARING_MORE = ("tests/conformance/test_readme.py",)
# These take the port that the playground declares, of which there is one.
_ON_ITS_PORT = ("tests/conformance/test_branching.py", "tests/conformance/test_branching_at_length.py")
# There is one Swarm at a time on a machine, and it takes seconds to make.
_ON_A_SWARM = "tests/swarm/"
# What takes longest begins first, so that no worker is left alone with it at the end.
_FIRST = (
    "tests/conformance/test_readme.py",
    "tests/conformance/test_upgrade.py::test_an_upgrade_that_is_killed",
    "tests/conformance/test_snapshots.py",
    "tests/conformance/test_fleet.py",
    "tests/conformance/test_plan.py",
    "tests/conformance/test_upgrade.py",
    "tests/conformance/test_dumps.py",
    "tests/docker/test_bad_weather.py::test_a_database_whose_first_start_was_killed_is_told",
    "tests/docker/test_bad_weather.py::test_an_app_that_falls_ill",
    "tests/conformance/test_interruptions.py",
    "tests/conformance/test_exactness.py",
)
# What takes no time fills the end.
_LAST = "tests/unit/"


def is_on_a_swarm(nodeid: str) -> bool:
    """Whether a test needs the Swarm: those of its folder, and those whose parameters name it."""
    return nodeid.startswith(_ON_A_SWARM) or re.search(r"[\[-]swarm(?:-[^\]]*)?\]$", nodeid) is not None


def begins(nodeid: str) -> int:
    """By this number tests are begun, from small to large. Those on a Swarm are first: they wait for each other."""
    if is_on_a_swarm(nodeid):
        return -1
    found = [place for place, start in enumerate(_FIRST) if nodeid.startswith(start)]
    return found[0] if found else len(_FIRST) + nodeid.startswith(_LAST)


def together(nodeid: str) -> str:
    """The same for all tests that one worker runs: those of a module on one engine share what it made."""
    file = nodeid.partition("::")[0]
    if is_on_a_swarm(nodeid):
        return _ON_A_SWARM
    if file in _SHARING_MORE:
        return file
    if file in _ON_ITS_PORT:
        return "on the port of the playground"
    if nodeid.startswith(ALONE) and file not in SHARING:
        return nodeid
    engine = re.search(r"\[(compose|embedded|server)\b", nodeid)
    return f"{file}-{engine[1]}" if engine else file


def part(wanted: str, nodeids: Sequence[str]) -> frozenset[str]:
    """Choose the K-th of N parts of these tests by "K/N"; what shares what its module made is in one part.

    They are dealt out in this order, so that each part has its share of those that take longest, and of those on a
    Swarm, which one worker runs one after the other.
    """
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", wanted)
    if found is None or int(found[1]) > int(found[2]):
        raise pytest.UsageError(f"--part is {wanted!r}, and not K/N with K from 1 to N")
    number, of = int(found[1]), int(found[2])
    on_a_swarm = [nodeid for nodeid in nodeids if is_on_a_swarm(nodeid)]
    elsewhere = [nodeid for nodeid in nodeids if not is_on_a_swarm(nodeid)]
    return frozenset(_hand(number, of, on_a_swarm) + _hand(number, of, elsewhere))


def _hand(number: int, of: int, nodeids: Sequence[str]) -> list[str]:
    """Deal each group, the largest first, to the hand with the fewest tests, and return one hand."""
    groups = Counter(map(_dealt, nodeids))
    hands: list[list[str]] = [[] for _ in range(of)]
    for group, _ in groups.most_common():
        min(hands, key=lambda hand: sum(groups[each] for each in hand)).append(group)
    return [nodeid for nodeid in nodeids if _dealt(nodeid) in hands[number - 1]]


def _dealt(nodeid: str) -> str:
    """The same for all tests that are in one part. Those on a Swarm take one worker too long to be in one."""
    return f"{nodeid.partition('::')[0]} on a Swarm" if is_on_a_swarm(nodeid) else together(nodeid)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """In the order of collection; `config.option.loadscopereorder` has to be off."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
