"""Save and load the files of volumes, for a component that has no way of its own; see `stack.capabilities.DataStore`.

Each volume is a tar. Files are compared by path, kind, permissions and content, not by owner and time: on another
engine they belong to the user that the component runs as there.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, cast

from stack.capabilities import Access
from stack.copying import FileCopy, OpenCopy, require_space, told
from stack.errors import StackError
from stack.frozen import dataclass
from stack.progress import Progress
from stack.snapshots.archive import CHUNK, Archive, Writer, damaged
from stack.snapshots.checked import Part
from stack.snapshots.manifest import Content, Member, Saved
from stack.snapshots.zstandard import zstd
from stack.workload import Target

FORMAT = "volumes/1"
_FILES = "files"
_READ = 64 * 2**10


@dataclass(frozen=True)
class VolumeFiles:
    """The volumes of a component, by their names. `user`: the user and group in numbers that it runs as, if any.

    `adopted`: makes of a tar of the files of another project's server one that this one can read.
    """

    component: str
    names: tuple[str, ...]
    user: str | None = None
    product: str = "files"
    cold: bool = True
    portable: bool = True
    adopted: Callable[[IO[bytes]], Iterator[bytes]] | None = None

    def identity(self) -> Mapping[str, str]:
        return {}

    def summary(self, access: Access) -> str:
        return ""

    def save(self, access: Access, archive: Writer, progress: Progress) -> Saved:
        contents, members, size = [], [], 0
        for number, name in enumerate(self.names, 1):
            progress.step(f"{self.component}: saving the volume {name or self.component}")
            with archive.member(_part(self.component, number)) as sink, access.read(name) as files:
                source = files
                if access.foreign and self.adopted is not None:
                    source = cast("IO[bytes]", _Rewritten(self.adopted(files)))
                listing = _Listing()
                for chunk in listing.watch(source):
                    sink.write(chunk)
            contents.append(Content(name, _FILES, listing.files, listing.checksum))
            members.append(sink.member)
            size += listing.bytes
        return Saved(
            format=FORMAT,
            version="",
            volumes=dict(access.volumes),
            size=size,
            rows=sum(each.rows for each in contents),
            contents=tuple(contents),
            members=tuple(members),
            details={"target": access.target},
        )

    def major(self, saved: Saved) -> int:
        self.members(saved)
        return 0

    def misfit(self, saved: Saved, major: int | None) -> tuple[str, str] | None:
        self.members(saved)
        there, here = sorted(saved.volumes), sorted(self.names)
        if there != here:
            return f"it has the volumes {_listed(there)} of {self.component}, and {_listed(here)} are declared", (
                "declare the same"
            )
        return None

    def load(
        self, access: Access, archive: Archive, saved: Saved, password: str, accepts: bool, progress: Progress
    ) -> None:
        members = self.members(saved)
        was: Target = saved.details["target"]
        # A project that was adopted has users of its own.
        kept = was == access.target and archive.manifest.reason != "adopt"
        for content in saved.contents:
            name = content.group
            progress.step(f"{self.component}: loading the volume {name or self.component}")
            with archive.part(members[name]) as plain, access.write(name) as target:
                try:
                    _copy(plain, target, None if kept else self._owner(access.target))
                except (OSError, EOFError, tarfile.TarError, zstd.ZstdError) as error:
                    raise damaged(archive.path, f"{members[name].name}: {error}") from error
            with access.read(name) as source:
                found = _Listing()
                for _ in found.watch(source):
                    pass
            if (found.files, found.checksum) != (content.rows, content.checksum):
                raise StackError(
                    "restore-differs",
                    f"{self.component}: what came out is not what was saved: the volume {name or self.component} has "
                    f"{found.files} files, and {content.rows} were saved",
                    "take another snapshot (`stackctl snapshot list`)",
                )

    def copy(self, source: Access, opening: OpenCopy, progress: Progress) -> int:
        copied = 0
        for name in self.names:
            with opening(name) as files:
                amount = files.size()
                require_space(files, self.component, amount)
                progress.step(told(files, f"{self.component}: the volume {name}" if name else self.component, amount))
                self.copy_files(files)
                copied += amount
        return copied

    def copy_files(self, files: FileCopy) -> None:
        """Copy one volume. Files that change meanwhile are copied as they are at that moment, each at its own."""
        files.copy()

    def settle(self, access: Access, password: str) -> tuple[str, ...]:
        return ()

    def _owner(self, target: Target) -> tuple[int, int] | None:
        """The user of a container. Files of a process are its user's anyway."""
        if target == "process" or self.user is None:
            return None
        user, _, group = self.user.partition(":")
        return int(user), int(group or user)

    def members(self, saved: Saved) -> dict[str, Member]:
        """The part of each volume. Raises `ValueError` for what `save` did not write."""
        if saved.format != FORMAT:
            raise ValueError(f"components.{self.component}: it is of the format {saved.format}, and not {FORMAT}")
        details = Part(saved.details, f"components.{self.component}.details")
        details.only(("target",))
        details.text("target", "container|process")
        names = [each.group for each in saved.contents]
        parts = [_part(self.component, number) for number in range(1, len(names) + 1)]
        if sorted(names) != sorted(saved.volumes) or [each.name for each in saved.members] != parts:
            raise ValueError(f"components.{self.component}: its parts are not those of its volumes")
        return dict(zip(names, saved.members, strict=True))


@dataclass(frozen=True)
class ServerFiles(VolumeFiles):
    """The volume of a server that is another one on each target, and can't read the files of that.

    `kept`: what is in it, for people.
    """

    kept: str = "files"
    portable: bool = False

    def load(
        self, access: Access, archive: Archive, saved: Saved, password: str, accepts: bool, progress: Progress
    ) -> None:
        if saved.details["target"] == access.target:
            super().load(access, archive, saved, password, accepts, progress)
        elif not accepts:
            raise StackError(
                "snapshot-loses",
                f"{self.component}: its {self.kept} would be lost here: they were saved on the other engine, whose "
                "server has another format; nothing was touched",
                "run it again with --accept-loss to begin with none",
            )


def _part(component: str, number: int) -> str:
    return f"{component}/{number}.tar.zst"


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


class _Listing:
    """Reads a tar as it goes by: how many entries it has, their bytes, and a checksum that their order is not in."""

    def __init__(self) -> None:
        self.files = self.bytes = 0
        self._sum = 0

    @property
    def checksum(self) -> str:
        return f"{self._sum:064x}"

    def watch(self, source: IO[bytes]) -> Iterator[bytes]:
        """Give the bytes of the tar, all of them."""
        tee = _Tee(source)
        with tarfile.open(fileobj=cast("IO[bytes]", tee), mode="r|") as tar:
            for entry in tar:
                self._add(tar, entry)
                yield from tee.taken()
        # What stands behind the end of the archive.
        while chunk := source.read(CHUNK):
            tee.chunks.append(chunk)
        yield from tee.taken()

    def _add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        file = File.of(tar, entry)
        if file is None:
            return
        facts = (file.path, file.kind, file.permissions, file.target, file.digest)
        line = hashlib.sha256("\0".join(facts).encode("utf-8", "surrogateescape")).digest()
        self._sum = (self._sum + int.from_bytes(line)) % 2**256
        self.files += 1
        self.bytes += entry.size


@dataclass(frozen=True)
class File:
    """A file of a volume, as files are compared. `target`: of a link. `digest`: of its content."""

    path: str
    kind: str
    permissions: str
    target: str
    digest: str

    @classmethod
    def of(cls, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> File | None:
        """Read an entry of a tar; None for the folder that the volume is itself."""
        path = entry.name.removeprefix("./").rstrip("/")
        if path in ("", "."):
            return None
        digest = hashlib.sha256()
        if entry.isreg() and (content := tar.extractfile(entry)) is not None:
            while block := content.read(_READ):
                digest.update(block)
        kind = "file" if entry.isreg() or entry.islnk() else entry.type.decode("ascii", "replace")
        permissions = f"{entry.mode & 0o7777:o}" if not entry.issym() else ""
        return cls(path, kind, permissions, entry.linkname, digest.hexdigest())


class _Rewritten(io.RawIOBase):
    """A stream of what an iterator gives."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        taken, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


class _Tee:
    """A source for `tarfile` that keeps what was read of it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.chunks: list[bytes] = []

    def read(self, size: int) -> bytes:
        chunk = self._source.read(size)
        self.chunks.append(chunk)
        return chunk

    def taken(self) -> list[bytes]:
        chunks, self.chunks = self.chunks, []
        return chunks


def _copy(source: IO[bytes], target: IO[bytes], owner: tuple[int, int] | None) -> None:
    """Copy a tar; with `owner` all that is in it becomes theirs."""
    if owner is None:
        while chunk := source.read(CHUNK):
            target.write(chunk)
        return
    with (
        tarfile.open(fileobj=source, mode="r|") as old,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in old:
            entry.uid, entry.gid = owner
            entry.uname = entry.gname = ""
            new.addfile(entry, old.extractfile(entry) if entry.isreg() else None)
