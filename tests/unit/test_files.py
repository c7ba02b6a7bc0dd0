"""Files are written whole or not at all, whatever ends the write."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.files import NewFile, explaining, final_name, update_text, write_bytes, write_text, writing
from tests.cli import ROOT

# Ends in the middle of a write, in the way that its argument names.
_INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from stack.files import writing
with writing(Path(sys.argv[1])) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
# May write so many bytes to a file, as on a full disk: the kernel refuses the rest.
_LIMITED = """
import resource, signal, sys
from pathlib import Path
from stack.files import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bytes(Path(sys.argv[1]), bytes(1 << 20))
except OSError as error:
    sys.exit(f"refused: {error.errno}")
"""


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, "old"])
def test_a_killed_write_leaves_nothing_under_the_name(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / "record.json"
    if before is not None:
        file.write_text(before)
    assert python(_INTERRUPTED, str(file)).returncode == -signal.SIGKILL
    assert (file.read_text() if file.exists() else None) == before
    (partial,) = set(names(tmp_path)) - {file.name}
    assert final_name(partial) == file.name, "what is left can be found and deleted"


def test_a_write_beyond_the_room_on_the_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text("old")
    result = python(_LIMITED, str(file))
    assert result.stderr.strip() == f"refused: {errno.EFBIG}", result
    assert (file.read_text(), names(tmp_path)) == ("old", ["record.json"])


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_full_disk_at_the_end_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = tmp_path / "record.json"
    file.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert (file.read_text(), names(tmp_path)) == ("old", ["record.json"])


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "dump.sql"
    file.write_text("old")

    def interrupted() -> None:
        with writing(file) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (file.read_text(), names(tmp_path)) == ("old", ["dump.sql"])


def test_a_stream_has_no_name_before_the_end_of_its_block(tmp_path: Path) -> None:
    file = tmp_path / "dump.sql"
    with writing(file) as stream:
        stream.write(b"whole")
        assert not file.exists()
    assert (file.read_bytes(), names(tmp_path)) == (b"whole", ["dump.sql"])


def test_a_new_file_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with NewFile(tmp_path / "save.zip") as new:
        new.stream.write(b"half")
    assert names(tmp_path) == []


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o700])
def test_a_file_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o277)
    try:
        write_bytes(tmp_path / "secret", b"1", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == mode


@pytest.mark.parametrize(("sync_folder", "synced"), [(False, ["file"]), (True, ["file", "folder"])])
def test_a_folder_is_synced_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync_folder: bool, synced: list[str]
) -> None:
    kinds: list[str] = []
    sync: Callable[[int], None] = os.fsync

    def noting(descriptor: int) -> None:
        kinds.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    write_text(tmp_path / "save.zip", "text", sync_folder=sync_folder)
    assert kinds == synced


def test_a_name_that_is_not_utf_8_keeps_its_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "list", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "list").read_bytes() == b"caf\xe9"


def test_an_update_writes_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "conf"
    assert update_text(file, "text") is True
    written = file.stat().st_mtime_ns
    assert update_text(file, "text") is False
    assert (file.stat().st_mtime_ns, stat.S_IMODE(file.stat().st_mode)) == (written, 0o600)
    assert update_text(file, "text", 0o700) is True
    assert update_text(file, "other", 0o700) is True
    assert (file.read_text(), names(tmp_path)) == ("other", ["conf"])


@pytest.mark.parametrize("name", ["save.zip", ".gitignore", ".save.zip", ".save.zip.0a1b2c3", "save.zip.0a1b2c3d"])
def test_other_files_are_no_partial_files(name: str) -> None:
    assert final_name(name) is None


def test_an_error_of_the_system_names_the_file_and_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised, explaining("state-unusable", tmp_path, "look there"):
        (tmp_path / "none").read_bytes()
    assert raised.value.code == "state-unusable"
    assert (raised.value.message, raised.value.hint) == (f"{tmp_path}: No such file or directory", "look there")


def test_an_error_inside_a_folder_names_the_file_in_it(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised, explaining("state-unusable", tmp_path, "look there", inside=True):
        (tmp_path / "none").read_bytes()
    assert raised.value.message == f"{tmp_path / 'none'}: No such file or directory"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_its_own(tmp_path: Path, number: int) -> None:
    with pytest.raises(StackError) as raised, explaining("state-unusable", tmp_path, "look there"):
        raise OSError(number, "full")
    assert (raised.value.code, raised.value.message) == ("disk-full", f"{tmp_path}: full")
