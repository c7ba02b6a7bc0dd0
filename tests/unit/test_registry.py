"""The list of this user's instances: entered once, forgotten with them, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stack import registry as registry_module
from stack.registry import Entry, Registry, is_gone
from stack.workload import PortId


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state" / ".instances")


def entry(folder: Path, name: str = "one", port: int = 8000) -> Entry:
    state = folder / name
    state.mkdir(exist_ok=True)
    return Entry(
        f"stackctl-{name}-0a1b2c",
        name,
        "embedded",
        state,
        folder / "shop.py",
        {PortId("web"): port},
        "2026-01-02T03:04:05",
    )


def test_what_was_entered_is_read_back_and_forgotten(registry: Registry, tmp_path: Path) -> None:
    assert registry.entries() == []
    made = [entry(tmp_path, name) for name in ("one", "two")]
    assert [registry.enter(each) for each in made] == [True, True]
    assert not registry.enter(made[0])
    assert registry.entries() == made
    registry.remove(made[0].project)
    assert registry.entries() == made[1:]
    registry.remove(made[0].project)


def test_an_instance_is_as_old_as_its_first_entry(registry: Registry, tmp_path: Path) -> None:
    first = entry(tmp_path)
    registry.enter(first)
    registry.enter(replace(first, engine="compose", created="2027-01-01T00:00:00"))
    assert registry.entries() == [replace(first, engine="compose")]


def test_an_entry_that_is_as_before_is_not_written(registry: Registry, tmp_path: Path) -> None:
    made = entry(tmp_path)
    registry.enter(made)
    (path,) = (tmp_path / "state" / ".instances").glob("*.json")
    os.utime(path, (1, 1))
    registry.enter(made)
    assert path.stat().st_mtime == 1


def test_the_ports_of_all_others_that_are_there_are_reserved(registry: Registry, tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "gone")):
        registry.enter(entry(tmp_path, name, 8000 + number))
    (tmp_path / "gone").rmdir()
    assert registry.ports(entry(tmp_path, "two").project) == {8000}


def test_instances_enter_one_after_the_other(registry: Registry, tmp_path: Path) -> None:
    names = [f"i{number}" for number in range(12)]

    def claim(name: str) -> None:
        made = entry(tmp_path, name)
        with registry.locked():
            port = max(registry.ports(made.project), default=8000) + 1
            registry.enter(replace(made, ports={PortId("web"): port}))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(claim, names))
    assert sorted(port for each in registry.entries() for port in each.ports.values()) == [*range(8001, 8013)]


def test_an_error_under_the_lock_is_raised_and_releases_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []

    def fail() -> None:
        with registry.locked():
            entered.append("once")
            raise PermissionError

    with pytest.raises(PermissionError):
        fail()
    assert entered == ["once"]
    monkeypatch.setattr(registry_module, "_LOCK_TIMEOUT", 0)
    with registry.locked():
        assert registry.entries() == []


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"schema": 99}', '{"schema": 1}', '{"schema": 1, "ports": 7}'])
def test_a_damaged_entry_is_none_and_is_repaired(registry: Registry, tmp_path: Path, text: str) -> None:
    made = entry(tmp_path)
    registry.enter(made)
    (path,) = (tmp_path / "state" / ".instances").glob("*.json")
    path.write_text(text, encoding="utf-8")
    assert registry.entries() == []
    registry.enter(made)
    assert registry.entries() == [made]
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == 1


def test_an_unusable_folder_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    registry = Registry(tmp_path / "state" / ".instances")
    made = entry(tmp_path)
    with registry.locked():
        assert registry.enter(made)
    assert registry.entries() == []
    assert registry.ports("any") == set()
    registry.remove(made.project)


def test_gone_is_only_what_certainly_is_not_there(tmp_path: Path) -> None:
    assert not is_gone(tmp_path)
    assert is_gone(tmp_path / "none")
    (tmp_path / "file").touch()
    assert is_gone(tmp_path / "file" / "below")


LOOK = """
import os, sys
from pathlib import Path
from stack.registry import is_gone
if os.geteuid() == 0:
    os.setuid(65534)
print(is_gone(Path(sys.argv[1])))
"""


def test_what_may_not_be_seen_may_be_there(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    seen = subprocess.run(
        [sys.executable, "-c", LOOK, closed / "below"], capture_output=True, text=True, check=True, env={}
    )
    closed.chmod(0o700)
    assert seen.stdout == "False\n"
