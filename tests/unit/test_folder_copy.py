"""Files are copied as they are while they change, with the rights of both users, and lead nowhere but into the copy."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from stack.copying import require_space, told
from stack.engines.embedded import folder_copy, user
from stack.engines.embedded.folder_copy import FolderCopy
from stack.engines.embedded.user import RunAs
from stack.errors import StackError


@pytest.fixture
def copy(tmp_path: Path) -> FolderCopy:
    """A volume with some files, and an empty one."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "one").write_bytes(os.urandom(300_000))
    (source / "sub" / "deep" / "two").write_text("two")
    (source / "sub" / "deep").chmod(0o500)
    (source / "one").chmod(0o640)
    os.utime(source / "one", (1, 2))
    os.utime(source / "sub", (3, 4))
    target.mkdir()
    return FolderCopy(source, None, target, None)


def paths(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_is_copied_with_its_mode_and_time(copy: FolderCopy) -> None:
    copy.copy()
    assert paths(copy.target) == paths(copy.source) == ["one", "sub", "sub/deep", "sub/deep/two"]
    assert (copy.target / "one").read_bytes() == (copy.source / "one").read_bytes()
    for name in ("one", "sub", "sub/deep"):
        ours, theirs = (copy.target / name).stat(), (copy.source / name).stat()
        assert (ours.st_mode, ours.st_mtime) == (theirs.st_mode, theirs.st_mtime), name


def test_of_what_is_left_out_there_are_empty_folders(copy: FolderCopy) -> None:
    copy.copy("sub", leave_out=["deep", "none"])
    assert paths(copy.target) == ["sub", "sub/deep"]
    copy.copy_files("sub/deep", ["two", "vanished"])
    assert (copy.target / "sub" / "deep" / "two").read_text() == "two"
    assert copy.size() > copy.size(["one"]) >= 0


def test_a_link_into_the_volume_leads_into_the_copy(copy: FolderCopy) -> None:
    for name, leads in (("own", copy.source / "one"), ("near", Path("one")), ("far", Path("/etc/hosts"))):
        (copy.source / name).symlink_to(leads)
    copy.copy()
    found = {name: os.readlink(copy.target / name) for name in ("own", "near", "far")}
    assert found == {"own": str(copy.target / "one"), "near": "one", "far": "/etc/hosts"}


def test_sockets_and_pipes_are_left_out(copy: FolderCopy) -> None:
    os.mkfifo(copy.source / "pipe")
    copy.copy()
    assert "pipe" not in paths(copy.target)


def test_what_vanishes_meanwhile_is_left_out(copy: FolderCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = folder_copy._fill

    def fill_and_remove(source: int, target: int) -> None:
        fill(source, target)
        shutil.rmtree(copy.source / "sub", ignore_errors=True)

    monkeypatch.setattr(folder_copy, "_fill", fill_and_remove)
    copy.copy()
    assert "one" in paths(copy.target)
    assert "sub/deep/two" not in paths(copy.target)


def test_a_file_is_copied_where_the_kernel_cannot(copy: FolderCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: int) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", unable, raising=False)
    copy.copy()
    assert (copy.target / "one").read_bytes() == (copy.source / "one").read_bytes()


def test_a_full_disk_is_told(copy: FolderCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: int, target: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_copy, "_fill", full)
    with pytest.raises(StackError) as raised:
        copy.copy()
    assert raised.value.code == "disk-full"


def test_a_copy_ends_before_it_fills_the_disk(copy: FolderCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_copy, "LEAST_FREE", 2**60)
    with pytest.raises(StackError, match="is left there, which what serves meanwhile may need") as raised:
        copy.copy()
    assert raised.value.code == "disk-full"
    assert not [path for path in copy.target.rglob("*") if path.is_file() and path.stat().st_size]


def test_holes_in_a_file_take_no_room_in_the_copy(copy: FolderCopy) -> None:
    with open(copy.source / "sparse", "wb") as file:
        for place in (2**20, 2**26):
            file.seek(place)
            file.write(b"text")
        file.truncate(2**28)
    copy.copy()
    copied, source = copy.target / "sparse", copy.source / "sparse"
    assert copied.read_bytes() == source.read_bytes()
    assert copied.stat().st_blocks <= max(source.stat().st_blocks, 2**12), "no more than what is in it"


@pytest.mark.parametrize("grows", [True, False])
def test_a_file_that_changes_its_length_has_no_hole_at_its_end(
    copy: FolderCopy, monkeypatch: pytest.MonkeyPatch, grows: bool
) -> None:
    """A server that appends to a log would read that as damage."""
    copy_part, log = folder_copy._copy_part, copy.source / "one"

    def copy_and_change(*arguments: int) -> int:
        copied = copy_part(*arguments)
        with open(log, "ab") as file:
            file.write(b"more" * 2**20) if grows else file.truncate(100)
        return copied

    monkeypatch.setattr(folder_copy, "_copy_part", copy_and_change)
    before = log.read_bytes()
    copy.copy_files("", ["one"])
    assert (copy.target / "one").read_bytes() == (before if grows else before[:100])


def test_files_are_read_and_written(copy: FolderCopy) -> None:
    assert copy.read("sub/deep/two") == "two"
    assert copy.read("nothing") is None
    copy.write("label", "written")
    written = copy.target / "label"
    assert (written.read_text(), stat.S_IMODE(written.stat().st_mode)) == ("written", 0o600)


def test_without_room_nothing_is_begun(copy: FolderCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderCopy, "clones", False)
    assert "copying its files" in told(copy, "db", 10**6)
    with pytest.raises(StackError, match="nothing was changed") as raised:
        require_space(copy, "db", 2**60)
    assert raised.value.code == "disk-full"
    monkeypatch.setattr(FolderCopy, "clones", True)
    require_space(copy, "db", 2**60)
    assert "cloning its files" in told(copy, "db", 10**6)


@pytest.fixture
def cloning(tmp_path: Path) -> Iterator[Path]:
    """A file system that clones files."""
    if os.geteuid() != 0 or shutil.which("mkfs.xfs") is None:
        pytest.skip("needs root and mkfs.xfs, to make a file system that clones files")
    image, folder = tmp_path / "image", tmp_path / "xfs"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(400 * 2**20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False).returncode:
        pytest.skip("this machine mounts no file system in a file")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.long
def test_a_file_system_that_clones_takes_no_room(cloning: Path) -> None:
    source, target = cloning / "source", cloning / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "large").write_bytes(os.urandom(100 * 2**20))
    os.sync()
    copy, free = FolderCopy(source, None, target, None), shutil.disk_usage(cloning).free
    assert copy.clones
    copy.copy()
    assert (target / "large").read_bytes() == (source / "large").read_bytes()
    assert free - shutil.disk_usage(cloning).free < 2**20
    assert paths(target) == ["large"], "nothing is left of the trial"


class _Interruption:
    """Ctrl-C in front of a line, or at a call or return, of what changes the rights of this process."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def __call__(self, frame: FrameType, event: str, argument: object) -> _Interruption | None:
        if frame.f_code.co_filename not in (user.__file__, contextlib.__file__):
            return self
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self


def _is_cut_off(copy: FolderCopy, moment: int) -> bool:
    """Copy, and say whether the interruption came before the end."""
    before = sys.gettrace()
    sys.settrace(_Interruption(moment))
    try:
        copy.copy()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can act as others")
def test_whenever_it_is_interrupted_the_caller_has_its_own_rights_again() -> None:
    nobody = RunAs(65534, 65534)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "source").mkdir()
        (folder / "source" / "one").write_text("one")
        for path in (folder / "source", folder / "source" / "one"):
            os.chown(path, 65534, 65534)

        def is_cut_off(moment: int) -> bool:
            target = folder / f"target-{moment}"
            target.mkdir()
            os.chown(target, 65534, 65534)
            rights = (os.geteuid(), os.getegid(), os.getgroups())
            cut = _is_cut_off(FolderCopy(folder / "source", nobody, target, nobody), moment)
            assert (os.geteuid(), os.getegid(), os.getgroups()) == rights, f"cut off at moment {moment}"
            return cut

        moments = next(moment for moment in range(1, 10_000) if not is_cut_off(moment))
        assert moments > 50, "it acted as another"
