"""Which tests one worker runs one after the other, and which are begun first."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Each test of these files, and these tests, have instances of their own: any worker can run them at any time.
_ALONE = (
    "tests/conformance/test_dumps.py::test_a_gigabyte",
    "tests/conformance/test_exactness.py",
    "tests/conformance/test_failures.py",
    "tests/conformance/test_interruptions.py",
    "tests/conformance/test_lifecycle.py",
    "tests/conformance/test_migrations.py",
    "tests/conformance/test_rotate.py",
    "tests/conformance/test_snapshots.py::test_a_restore_under_load",
    "tests/conformance/test_snapshots.py::test_a_snapshot_brings_all_back",
    "tests/conformance/test_snapshots.py::test_what_a_reset_deleted",
    "tests/conformance/test_snapshots.py::test_what_is_saved_under_load",
    "tests/conformance/test_upgrade.py",
    "tests/docker/test_bad_weather.py",
    "tests/embedded/test_installation.py",
    "tests/embedded/test_power_cut.py",
)
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


def begins(nodeid: str) -> int:
    """By this number tests are begun, from small to large."""
    found = [place for place, start in enumerate(_FIRST) if nodeid.startswith(start)]
    return found[0] if found else len(_FIRST) + nodeid.startswith(_LAST)


def together(nodeid: str) -> str:
    """The same for all tests that one worker runs: those of a module on one engine share what it made."""
    file = nodeid.partition("::")[0]
    if nodeid.startswith(_ALONE):
        return nodeid
    engine = re.search(r"\[(compose|embedded)\b", nodeid)
    return f"{file}-{engine[1]}" if engine else file


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """In the order of collection; `config.option.loadscopereorder` has to be off."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
