"""Which worker runs a test: what a module made is made once."""

from __future__ import annotations

import re

import pytest

from tests.cli import ROOT
from tests.schedule import ALONE, SHARING, is_on_a_swarm, part, together

# A fixture of the module itself; one that a test is given indirectly is a parameter and makes nothing.
_MAKES = re.compile(r'^@pytest\.fixture\(scope="module"', re.MULTILINE)
SPREAD = sorted(
    file.relative_to(ROOT).as_posix()
    for file in (ROOT / "tests").rglob("test_*.py")
    if file.relative_to(ROOT).as_posix().startswith(ALONE)
)


@pytest.mark.parametrize("file", SPREAD)
def test_a_module_that_makes_something_is_run_by_one_worker(file: str) -> None:
    makes = _MAKES.search((ROOT / file).read_text(encoding="utf-8")) is not None
    assert not makes or file in SHARING, f"{file} has a fixture of its module: each worker would make its own"


@pytest.mark.parametrize("file", SHARING)
def test_each_module_that_is_kept_together_exists(file: str) -> None:
    assert file in SPREAD


def test_a_module_is_kept_together_on_each_engine() -> None:
    file = SHARING[0]
    assert together(f"{file}::test_a[compose]") == together(f"{file}::test_b[compose-1]")
    assert together(f"{file}::test_a[compose]") != together(f"{file}::test_a[embedded]")


def test_the_clone_of_the_readme_is_made_once() -> None:
    file = "tests/conformance/test_readme.py"
    assert together(f"{file}::test_a[compose]") == together(f"{file}::test_a[embedded]")


def test_the_parts_are_all_tests_once_and_share_nothing_of_a_module() -> None:
    files = (SHARING[0], "tests/swarm/test_a.py", "tests/swarm/test_b.py", "tests/docker/test_compose.py")
    engines = ("compose", "embedded", "swarm")
    nodeids = [f"{file}::test_{name}[{engine}]" for file in files for name in "abc" for engine in engines]
    parts = [part(f"{number}/3", nodeids) for number in (1, 2, 3)]
    assert sorted(nodeid for each in parts for nodeid in each) == sorted(nodeids)
    for file in files[:3]:
        on_a_swarm = [number for number, each in enumerate(parts) if f"{file}::test_a[swarm]" in each]
        assert all(f"{file}::test_{name}[swarm]" in parts[on_a_swarm[0]] for name in "bc")
    assert all(parts), "none is empty"


def test_what_takes_one_worker_long_is_spread_over_the_parts() -> None:
    large = [f"tests/swarm/test_a.py::test_{number}" for number in range(4)]
    small = [f"tests/swarm/test_b{number}.py::test_one" for number in range(4)]
    others = [f"tests/docker/test_compose.py::test_{number}" for number in range(8)]
    parts = [part(f"{number}/2", [*small, *others, *large]) for number in (1, 2)]
    assert [len(each.intersection(others)) for each in parts] == [4, 4]
    assert sorted(map(len, ({*each}.difference(others) for each in parts))) == [4, 4]
    assert {*large} in [each.difference(others) for each in parts]


@pytest.mark.parametrize(
    ("nodeid", "on_it"),
    [
        ("tests/swarm/test_a.py::test_b", True),
        ("tests/conformance/test_a.py::test_b[swarm]", True),
        ("tests/conformance/test_a.py::test_b[swarm-2]", True),
        ("tests/conformance/test_a.py::test_b[a swarm of bees-swarm]", True),
        ("tests/conformance/test_a.py::test_b[compose]", False),
        ("tests/conformance/test_a.py::test_b[a swarm of bees-compose]", False),
        ("tests/conformance/test_swarm.py::test_b", False),
    ],
)
def test_a_test_on_a_swarm_is_known_by_its_folder_or_its_engine(nodeid: str, on_it: bool) -> None:
    assert is_on_a_swarm(nodeid) is on_it


@pytest.mark.parametrize("wanted", ["0/3", "4/3", "1", "1/0", "one/3", "1/3 "])
def test_a_part_that_is_none_is_refused(wanted: str) -> None:
    with pytest.raises(pytest.UsageError, match="K/N"):
        part(wanted, [])
