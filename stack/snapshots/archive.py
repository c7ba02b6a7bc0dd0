"""The file of a snapshot: a zip whose parts are readable without stackctl, and whose manifest is written last.

    manifest.json          what is in it, with the checksum of every other part
    db/roles.sql           the roles of a component, for psql
    db/1.dump.zst          a database of it, for `zstd -d | pg_restore`

A file appears under its name once all of it is on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self, cast

from stack.controls import visible
from stack.errors import StackError
from stack.files import NewFile, explaining
from stack.report import size
from stack.snapshots.encoding import from_json, to_json
from stack.snapshots.manifest import Manifest, Member
from stack.snapshots.zstandard import zstd

# A database on the same disk has to be able to go on.
RESERVE = 256 * 2**20
CHUNK = 2**20
_MANIFEST = "manifest.json"
# Some hundred thousand tables. What is longer is never written either.
_MOST_MANIFEST = 32 * 2**20
_MOST_LIST = 16 * 2**20
_LEVEL = 3
# What reading a zip raises, whichever of its bytes are others: `RuntimeError` where they say that it is encrypted, or
# packed in a way that does not exist, `OSError` where they name a place before its beginning.
_DAMAGE = (zipfile.BadZipFile, KeyError, ValueError, EOFError, RuntimeError, OSError, zlib.error)


class Writer:
    """Writes a snapshot. Without `finish` nothing of it remains.

    Raises `disk-full` before the disk is, and `file-unusable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        require_space(self._path.parent, RESERVE)
        with explained(self._path), contextlib.ExitStack() as opened:
            self._file = opened.enter_context(NewFile(self._path))
            self._zip = zipfile.ZipFile(self._file.stream, "w", zipfile.ZIP_STORED)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        # Unless it is finished, it writes the end of the zip into a file that is deleted next.
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        self._opened.close()

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[Sink]:
        """A part whose bytes are written as they come; those with names that end in `.zst` are compressed."""
        with explained(self._path), self._zip.open(name, "w", force_zip64=True) as file:
            sink = Sink(name, file, self._path.parent, compressed=name.endswith(".zst"))
            yield sink
            sink.close()

    def finish(self, manifest: Manifest) -> int:
        """Give the file its name; its bytes."""
        text = to_json(manifest).encode()
        if len(text) > _MOST_MANIFEST:
            raise StackError("save-failed", "there are more tables than a snapshot can list", "use `stackctl dump`")
        with explained(self._path):
            self._zip.writestr(_MANIFEST, text, zipfile.ZIP_DEFLATED)
            self._zip.close()
            self._file.commit(sync_folder=True)
            return self._path.stat().st_size


class Sink:
    """Where the bytes of one part go."""

    def __init__(self, name: str, file: IO[bytes], folder: Path, compressed: bool) -> None:
        self._name = name
        self._file = file
        self._folder = folder
        self._compressor = zstd.ZstdCompressor(level=_LEVEL) if compressed else None
        self._digest = hashlib.sha256()
        self._written = 0

    def write(self, data: bytes) -> None:
        self._put(self._compressor.compress(data) if self._compressor else data)

    def close(self) -> None:
        if self._compressor:
            self._put(self._compressor.flush())

    @property
    def member(self) -> Member:
        """What was written, once it is closed."""
        return Member(self._name, self._written, self._digest.hexdigest())

    def _put(self, data: bytes) -> None:
        if self._written // CHUNK != (self._written + len(data)) // CHUNK:
            require_space(self._folder, RESERVE)
        self._digest.update(data)
        self._file.write(data)
        self._written += len(data)


def require_space(folder: Path, needed: int) -> None:
    """Raises `disk-full` where less is free."""
    with explained(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise StackError(
            "disk-full",
            f"the disk of {folder} has {size(free)} left, and {size(needed)} are needed; nothing was written",
            "make room there: `stackctl snapshot list` shows what snapshots take, `df -h` the rest",
        )


def read_manifest(path: Path) -> Manifest:
    """What a snapshot says of itself; its parts are not looked at. Raises `snapshot-damaged` and `file-unusable`."""
    with opened(path) as archive:
        return archive.manifest


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A snapshot to read from. Raises `snapshot-damaged` and `file-unusable`."""
    with contextlib.ExitStack() as stack:
        with explained(path):
            raw = stack.enter_context(_Bounded(io.FileIO(path)))
        try:
            file = stack.enter_context(zipfile.ZipFile(raw))
            manifest = _manifest(file)
        except (zipfile.BadZipFile, KeyError) as error:
            raise damaged(path, "it is no snapshot, or its end is missing") from error
        except _DAMAGE as error:
            raise damaged(path, str(error)) from error
        yield Archive(path, file, manifest)


class _Bounded(io.BufferedReader):
    """A file with bounded reads: `zipfile` takes the length of its list from the file itself, which may lie."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_LIST:
            raise zipfile.BadZipFile(f"its list of parts is longer than {_MOST_LIST} bytes")
        return super().read(size)


def _manifest(file: zipfile.ZipFile) -> Manifest:
    """Read the manifest, and require the file to hold what it lists, as long as it says, and nothing else.

    A part is never longer than the file is: only the manifest may be compressed.
    """
    about = file.getinfo(_MANIFEST)
    if about.file_size > _MOST_MANIFEST or about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its manifest has {size(about.file_size)}, and may have {size(_MOST_MANIFEST)}")
    with file.open(about) as packed:
        # Without a number it would be unpacked whole, whatever length it claims.
        manifest = from_json(packed.read(about.file_size + 1).decode("utf-8"))
    listed = {(part.name, part.bytes, part.bytes, zipfile.ZIP_STORED) for part in manifest.members}
    infos = [each for each in file.infolist() if each is not about]
    there = {(each.filename, each.file_size, each.compress_size, each.compress_type) for each in infos}
    if listed != there or len(there) != len(infos):
        name = min(listed ^ there, default=("a part",))[0]
        raise ValueError(f"{visible(name)} is not what its manifest lists")
    return manifest


class Archive:
    """A snapshot that is open."""

    def __init__(self, path: Path, file: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._zip = file

    def verify(self) -> None:
        """Read every part once. Raises `snapshot-damaged` where one is not as it was written."""
        for member in self.manifest.members:
            if self._digest(member) != member.sha256:
                raise damaged(self.path, f"{member.name} is not as it was written")

    def _digest(self, member: Member) -> str:
        digest = hashlib.sha256()
        try:
            with self._zip.open(member.name) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        except _DAMAGE as error:
            raise damaged(self.path, f"{member.name} can't be read: {error}") from error
        return digest.hexdigest()

    @contextlib.contextmanager
    def part(self, member: Member) -> Iterator[IO[bytes]]:
        """The bytes of a part as they were before it was compressed."""
        with self._zip.open(member.name) as stream:
            if member.name.endswith(".zst"):
                with zstd.open(stream, "rb") as plain:
                    yield cast("IO[bytes]", plain)
            else:
                yield stream


def damaged(path: Path, why: str) -> StackError:
    return StackError(
        "snapshot-damaged",
        f"{path} can't be used: {why}; nothing was touched",
        "take another one (`stackctl snapshot list`), or fetch this one again",
    )


def explained(path: Path) -> contextlib.AbstractContextManager[None]:
    """Turn an `OSError` of the block into a `file-unusable` about `path`."""
    return explaining("file-unusable", path, "check its path, its rights and the free space")
