"""Copy the folder of a volume into that of another instance, with the rights of both and of no other user.

What is copied is read as the user that its servers run as, and written as the other's: a link in either could mislead
root.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from stack.copying import LEAST_FREE
from stack.engines.embedded.user import RunAs, acting_as, returning
from stack.files import explaining
from stack.frozen import dataclass
from stack.report import size

# `FICLONE` of <linux/fs.h>: both files share their blocks until one of them changes.
_CLONE = 0x40049409
_CHUNK, _BUFFER = 2**26, 2**20
_VANISHED = (FileNotFoundError, NotADirectoryError)
# What a file system says that does not copy by itself, or not between these two.
_UNABLE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


@dataclass(frozen=True)
class _Found:
    """What is in a folder: its path relative to the volume, and what the system knows of it."""

    path: str
    status: os.stat_result


@dataclass(frozen=True)
class FolderCopy:
    """See `stack.copying.FileCopy`. `reader` and `writer`: the users of both, if those are not the caller's."""

    source: Path
    reader: RunAs | None
    target: Path
    writer: RunAs | None

    @cached_property
    def clones(self) -> bool:
        with _explained(self.target):
            for found in self._listed(""):
                if stat.S_ISREG(found.status.st_mode) and found.status.st_size:
                    with contextlib.suppress(*_VANISHED):
                        return self._tries(found)
        return False

    def _tries(self, found: _Found) -> bool:
        """Say whether a file can be cloned; nothing is left of the trial."""
        trial = self.target / f".trial.{secrets.token_hex(4)}"
        try:
            with self._opened(found, trial) as (source, target):
                return _cloned(source, target)
        finally:
            with acting_as(self.writer):
                trial.unlink(missing_ok=True)

    def size(self, leave_out: Collection[str] = ()) -> int:
        with _explained(self.source):
            return sum(found.status.st_blocks * 512 for found in self._listed("", {*leave_out}))

    @property
    def free(self) -> int | None:
        return shutil.disk_usage(self.target).free

    def copy(self, folder: str = "", leave_out: Collection[str] = ()) -> None:
        left_out = {os.path.join(folder, name) for name in leave_out}
        with _explained(self.target):
            found = [*self._listed(folder, left_out)]
            for each in found:
                with contextlib.suppress(*_VANISHED):
                    self._copy(each)
            # At the end: what is made in a folder changes when it was changed.
            with acting_as(self.writer):
                for each in reversed(found):
                    if stat.S_ISDIR(each.status.st_mode):
                        _date(self.target / each.path, each.status)

    def copy_files(self, folder: str, names: Sequence[str]) -> None:
        with _explained(self.target):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(*_VANISHED):
                    with acting_as(self.reader):
                        status = (self.source / path).lstat()
                    self._copy(_Found(path, status))

    def read(self, path: str) -> str | None:
        with _explained(self.source), acting_as(self.reader), contextlib.suppress(*_VANISHED):
            return (self.source / path).read_text(encoding="utf-8")
        return None

    def write(self, path: str, text: str) -> None:
        with _explained(self.target), acting_as(self.writer):
            (self.target / path).write_text(text, encoding="utf-8")
            (self.target / path).chmod(0o600)

    def _listed(self, folder: str, left_out: Collection[str] = ()) -> Iterator[_Found]:
        """Yield all that is in a folder now, each folder before what is in it; of what is left out only folders."""
        with acting_as(self.reader):
            listed = [*self._walked(folder, left_out)]
        yield from listed

    def _walked(self, folder: str, left_out: Collection[str]) -> Iterator[_Found]:
        pending = [folder]
        while pending:
            at = pending.pop()
            with contextlib.suppress(*_VANISHED), os.scandir(self.source / at) as entries:
                yield _Found(at, (self.source / at).stat())
                for entry in entries:
                    path = os.path.join(at, entry.name)
                    with contextlib.suppress(*_VANISHED):
                        status = entry.stat(follow_symlinks=False)
                        if not stat.S_ISDIR(status.st_mode):
                            if path not in left_out:
                                yield _Found(path, status)
                        elif path in left_out:
                            yield _Found(path, status)
                        else:
                            pending.append(path)

    def _copy(self, found: _Found) -> None:
        """Copy one thing. There is nothing to copy of a socket or a pipe: what serves makes it."""
        mode, target = found.status.st_mode, self.target / found.path
        if stat.S_ISDIR(mode):
            with acting_as(self.writer):
                target.mkdir(exist_ok=True)
                # What is put into it needs its owner to be able to.
                target.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
        elif stat.S_ISLNK(mode):
            self._link(found.path)
        elif stat.S_ISREG(mode):
            with self._opened(found, target) as (source, into):
                if not (found.status.st_size and self.clones and _cloned(source, into)):
                    _fill(source, into)
                os.fchmod(into, stat.S_IMODE(mode))
                os.utime(into, ns=(found.status.st_atime_ns, found.status.st_mtime_ns))

    def _link(self, path: str) -> None:
        """Copy a link. One that leads into the volume by its whole path would lead into that of the other instance."""
        with acting_as(self.reader):
            leads = os.readlink(self.source / path)
        if leads == str(self.source) or leads.startswith(f"{self.source}/"):
            leads = f"{self.target}{leads[len(str(self.source)) :]}"
        with acting_as(self.writer):
            os.symlink(leads, self.target / path)

    @contextlib.contextmanager
    def _opened(self, found: _Found, target: Path) -> Iterator[tuple[int, int]]:
        with contextlib.ExitStack() as opened:
            with acting_as(self.reader):
                source = os.open(self.source / found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            opened.callback(os.close, source)
            with acting_as(self.writer):
                into = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            opened.callback(os.close, into)
            yield source, into


def _cloned(source: int, target: int) -> bool:
    """Let one file share the blocks of another; say whether the file system can."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError as error:
        if error.errno in (*_UNABLE, errno.ENOTTY):
            return False
        raise
    return True


def _fill(source: int, target: int) -> None:
    """Copy a file as long as it is now, without the holes in it, while there is room for what serves meanwhile."""
    length = os.fstat(source).st_size
    for begin, end in _parts(source, length):
        at = begin
        while at < end:
            _require_room(target)
            if not (copied := _copy_part(source, target, at, min(end - at, _CHUNK))):
                break
            at += copied
    # What a server appended meanwhile is not in the copy, and what it cut off is no hole at the end of it.
    os.truncate(target, min(length, os.fstat(source).st_size))


def _parts(source: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield where each part of a file begins and ends; between them are holes, which take no room."""
    end = 0
    while end < length:
        begin, end = _next_part(source, end, length) if sys.platform == "linux" else (end, length)
        yield begin, min(end, length)


def _next_part(source: int, at: int, length: int) -> tuple[int, int]:
    try:
        begin = os.lseek(source, at, os.SEEK_DATA)
        return begin, os.lseek(source, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return length, length


def _copy_part(source: int, target: int, at: int, count: int) -> int:
    """Copy some bytes of a file to the same place of another one, in the kernel if it can; return how many."""
    if sys.platform == "linux":
        try:
            return os.copy_file_range(source, target, count, at, at)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
    return os.pwrite(target, os.pread(source, min(count, _BUFFER), at), at)


def _require_room(target: int) -> None:
    """Raise what a full disk raises, before it is one: what serves on the same disk would fail there too."""
    disk = os.fstatvfs(target)
    if disk.f_bavail * disk.f_frsize < LEAST_FREE:
        raise OSError(errno.ENOSPC, f"less than {size(LEAST_FREE)} is left there, which what serves meanwhile may need")


def _date(folder: Path, status: os.stat_result) -> None:
    with contextlib.suppress(*_VANISHED):
        folder.chmod(stat.S_IMODE(status.st_mode))
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    with returning(), explaining("branch-failed", folder, "see what it is, and run this again", inside=True):
        yield
