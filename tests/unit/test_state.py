"""What is remembered is written whole, readable by its owner alone, and held by one command at a time."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from stack import state as state_module
from stack.errors import StackError
from stack.locks import attempt
from stack.record import Record
from stack.state import State
from stack.style import Style
from stack.workload import PortId, VolumeId


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".stackctl" / "shop")


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_new_instance_has_no_record(state: State) -> None:
    assert state.record() is None
    assert not state.exists(), "reading must not make anything"


def test_a_record_is_remembered(state: State) -> None:
    state.remember(Record("stackctl-shop-123456", {PortId("web"): 8080}))
    assert state.record() == Record("stackctl-shop-123456", {PortId("web"): 8080})


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"schema": 1}', '{"schema": 1, "project": "x", "ports": 7}'])
def test_a_damaged_record_is_told_and_kept(state: State, text: str) -> None:
    path = state.write("record.json", text)
    with pytest.raises(StackError, match="is damaged") as raised:
        state.record()
    assert raised.value.code == "state-unusable"
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["", "{", None])
def test_a_copy_serves_if_the_record_is_damaged_or_gone(state: State, text: str | None) -> None:
    record = Record("stackctl-shop-123456", {PortId("web"): 8080}, "embedded", generations={VolumeId("db"): 2})
    state.remember(record)
    if text is None:
        (state.folder / "record.json").unlink()
    else:
        state.write("record.json", text)
    assert state.record() == record


def test_a_damaged_record_without_a_copy_says_what_is_lost(state: State) -> None:
    path = state.write("record.json", "{")
    state.write("record.copy.json", "{")
    with pytest.raises(StackError) as raised:
        state.record()
    assert str(path) in raised.value.message
    hint = raised.value.hint
    assert all(word in hint for word in ("backup", str(state.folder), "`stackctl --instance shop prune --data`"))
    assert "space" not in hint


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system refuse to write, which no mode of a folder does to root."""
    opened = os.open

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    def open_to_read(path: str, flags: int, *rest: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse()
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", open_to_read)
    for name in ("chmod", "write_text", "unlink"):
        monkeypatch.setattr(Path, name, refuse)


def test_what_is_there_can_be_locked_on_a_read_only_file_system(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with state.locked():
        state.remember(Record("stackctl-shop-123456", {}))
        state.provide_secret("db_password")
    read_only(monkeypatch)
    with state.locked():
        state.provide_secret("db_password")
        with pytest.raises(StackError, match="Read-only file system"):
            state.write("applied.json", "{}")
        with state._attempt() as held:
            assert not held, "one command at a time, also here"


def test_a_record_of_another_version_is_not_guessed_at(state: State) -> None:
    state.write("record.json", '{"schema": 99}')
    with pytest.raises(StackError, match="another version"):
        state.record()


def test_everything_is_readable_by_its_owner_alone(state: State) -> None:
    record = state.write("record.json", "{}")
    state.provide_secret("db_password")
    folders = [state.folder.parent, state.folder, state.folder / "secrets"]
    assert [mode(folder) for folder in folders] == ["0o700"] * 3
    assert mode(record) == "0o600"
    # The users of containers read the file itself; nobody else gets through its folder.
    assert mode(state.folder / "secrets" / "db_password") == "0o444"


def test_git_never_sees_the_state(state: State, tmp_path: Path) -> None:
    state.provide_secret("db_password")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    seen = subprocess.run(["git", "-C", tmp_path, "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert seen.stdout == ""


def test_each_secret_is_another(state: State) -> None:
    for name in ("a", "b"):
        state.provide_secret(name)
    values = {state.secret(name).reveal() for name in ("a", "b")}
    assert len(values) == 2
    assert all(len(value) >= 32 for value in values)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_newline_at_the_end_of_a_secret_is_cut_in_place(state: State, end: str) -> None:
    path = state.write("secrets/cache_password", f"open sesame {end}", mode=0o444)
    before = path.stat()
    assert state.secret("cache_password").reveal() == "open sesame "
    assert state.trim_secret("cache_password")
    assert path.read_bytes() == b"open sesame "
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("text", ["open\nsesame", "\n", ""])
def test_a_secret_without_one_or_of_nothing_else_is_kept(state: State, text: str) -> None:
    path = state.write("secrets/cache_password", text)
    assert not state.trim_secret("cache_password")
    assert path.read_bytes() == text.encode()


def test_a_secret_that_is_not_there_has_no_newline_to_cut(state: State) -> None:
    assert not state.trim_secret("cache_password")


def test_a_write_that_fails_leaves_the_old_file(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    path = state.write("record.json", "old")
    monkeypatch.setattr(os, "fsync", _disk_full)
    with pytest.raises(StackError, match="No space left on device"):
        state.write("record.json", "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["record.json"], "nothing half-written may stay"


def _disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_state_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".stackctl").touch()
    with pytest.raises(StackError) as raised:
        State(tmp_path / ".stackctl" / "shop").write("record.json", "{}")
    assert raised.value.code == "state-unusable"


HOLD = """
import sys
from pathlib import Path
from stack.state import State
from stack.style import Style
with State(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_command_at_a_time_changes_an_instance(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "_LOCK_TIMEOUT", 0.1)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, state.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StackError) as raised, state.locked():
            pytest.fail("two commands hold the lock")
        assert raised.value.code == "instance-busy"
        assert f"(process {holder.pid})" in raised.value.message
        assert "since" in raised.value.message
        holder.kill()
        holder.wait(10)
        with state.locked():
            assert state.folder.is_dir(), "a lock ends with its process, also a killed one"


class Said:
    """Progress as it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def announce(self, text: Callable[[Style], str]) -> None:
        """Nothing is announced here."""

    def states(self, states: Mapping[str, str]) -> None:
        """Nothing asks for it here."""


@pytest.mark.parametrize("noted", ["", "{}", "[]", '{"process": 1}', '{"process": 1, "since": 0}', '{"process": "x"}'])
def test_a_waiting_command_says_so_once(state: State, monkeypatch: pytest.MonkeyPatch, noted: str) -> None:
    monkeypatch.setattr(state_module, "_LOCK_TIMEOUT", 0.3)
    monkeypatch.setattr(state_module, "_LOCK_NOTICE", 0.05)
    said = Said()
    with state.locked():
        # Of one that was killed right before, or has not said so yet.
        (state.folder / "holder.json").write_text(noted, encoding="utf-8")
        with pytest.raises(StackError, match="another command is still changing") as raised, state.locked(said):
            pytest.fail("two commands hold the lock")
    assert raised.value.code == "instance-busy"
    assert said.steps == ["waiting for another command"]


class Queue(State):
    """The state of an instance that other commands change one after the other before its turn is there."""

    def __init__(self, folder: Path, others: int) -> None:
        super().__init__(folder)
        self._others = others
        self._lock = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._lock.enter_context(attempt(self.folder / "lock"))
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _noted(self) -> tuple[int, float] | None:
        self._others -= 1
        if self._others == 0:
            self._lock.close()
        return 1, float(self._others)


def test_of_many_commands_that_wait_each_has_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of those before takes half a minute, so that all of them take far longer than one may wait for one."""
    clock = SimpleNamespace(monotonic=itertools.count(step=30).__next__, time=time.time)
    monkeypatch.setattr(state_module, "time", clock)
    monkeypatch.setattr(state_module, "_LOCK_INTERVAL", 0)
    with Queue(tmp_path / "instance", 20) as state, state.locked():
        assert clock.monotonic() > 300


def test_a_lock_that_was_deleted_with_its_folder_is_created_again(state: State) -> None:
    with ThreadPoolExecutor(1) as other:
        with state.locked():
            waiting = other.submit(_lock_and_look, State(state.folder))
            state.delete()
        assert waiting.result(30), "what waited holds a lock on a file that others see"


def _lock_and_look(state: State) -> bool:
    with state.locked():
        state.write("record.json", "{}")
        return (state.folder / "lock").exists()


def test_a_deleted_instance_takes_no_other_with_it(tmp_path: Path) -> None:
    """Many are made and deleted in one folder at once: each finds what it wrote, and nothing remains."""
    root = tmp_path / ".stackctl"

    def live(number: int) -> None:
        state = State(root / f"i{number % 3}")
        for _ in range(20):
            with state.locked():
                for name in ("a", "b"):
                    state.write(f"secrets/{name}", str(number))
                assert (root / ".gitignore").is_file()
                assert state.secret("a").reveal() == state.secret("b").reveal() == str(number)
                state.delete()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(live, range(6)))
    assert not root.exists()


def test_a_lock_leaves_no_folder_of_an_instance_that_does_not_exist(state: State, tmp_path: Path) -> None:
    with state.locked():
        assert not state.exists()
    assert list(tmp_path.iterdir()) == []
    with state.locked():
        state.remember(Record("stackctl-shop-123456", {}))
    assert state.exists()
    assert sorted(path.name for path in state.folder.iterdir()) == ["lock", "record.copy.json", "record.json"]


def test_a_folder_that_the_user_keeps_in_git_stays(state: State, tmp_path: Path) -> None:
    kept = tmp_path / ".stackctl" / ".gitignore"
    kept.parent.mkdir()
    kept.write_text("*\n!.gitignore\n", encoding="utf-8")
    with state.locked():
        state.delete()
    assert kept.read_text(encoding="utf-8") == "*\n!.gitignore\n"
    assert list(kept.parent.iterdir()) == [kept]


def test_delete_leaves_nothing(state: State, tmp_path: Path) -> None:
    with state.locked():
        state.provide_secret("db_password")
        state.delete()
    assert list(tmp_path.iterdir()) == []


def test_delete_leaves_other_instances(state: State) -> None:
    other = State(state.folder.with_name("other"))
    other.provide_secret("db_password")
    with state.locked():
        state.provide_secret("db_password")
        state.delete()
    assert not state.folder.exists()
    assert other.has_secret("db_password")
