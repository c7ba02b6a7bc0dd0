"""The formats that data comes in and goes out in: told from its first bytes, and from a file's name."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Literal, cast

from stack.errors import StackError
from stack.snapshots.zstandard import zstd

Kind = Literal["sql", "custom"]

_PACKED: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream)),
    b"\x28\xb5\x2f\xfd": lambda stream: cast("IO[bytes]", zstd.open(stream, "rb")),
}
_CUSTOM = b"PGDMP"
_ZIP = b"PK\x03\x04"
# As gzip has it anyway, and the command `zstd` does by itself: what is damaged is told and not loaded.
_CHECKED: Mapping[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
_LOOKED_AT = 4096


class Peekable(io.BufferedReader):
    """What comes from a file, a pipe or an unpacker, and can be looked at before it is read.

    Reading raises `OSError` also for what was packed and is damaged, and `EOFError` where its end is missing.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(_Raw(stream), buffer_size=2**20)


class _Raw(io.RawIOBase):
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            data = self._stream.read(len(view))
        except (zlib.error, zstd.ZstdError) as error:
            raise OSError(str(error)) from error
        view[: len(data)] = data
        return len(data)


def unpacked(stream: IO[bytes], name: str) -> tuple[Peekable, Kind]:
    """The plain bytes of a dump, and what it is. `name` is what a person calls it.

    Raises `load-format` for what is neither SQL nor a custom dump of `pg_dump`.
    """
    plain = Peekable(stream)
    for magic, unpack in _PACKED.items():
        if plain.peek(_LOOKED_AT).startswith(magic):
            plain = Peekable(unpack(cast("IO[bytes]", plain)))
            break
    head = plain.peek(_LOOKED_AT)[:_LOOKED_AT]
    if head.startswith(_CUSTOM):
        return plain, "custom"
    if head.startswith(_ZIP):
        raise StackError(
            "load-format", f"{name} is a zip", "if it is a snapshot: `stackctl snapshot restore --input FILE`"
        )
    if not head or b"\0" in head:
        raise StackError(
            "load-format",
            f"{name} is {'empty' if not head else 'neither SQL nor a dump of `pg_dump --format=custom`'}",
            "make one with `stackctl dump FILE`; both may be packed with gzip or zstd",
        )
    return plain, "sql"


def packing(path: Path, file: IO[bytes], opened: ExitStack) -> IO[bytes]:
    """What packs as the name of the file says (`.gz`, `.zst`), and else leaves everything as it is."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", opened.enter_context(gzip.GzipFile(filename="", fileobj=file, mode="wb")))
    if path.suffix == ".zst":
        return cast("IO[bytes]", opened.enter_context(zstd.open(file, "wb", options=_CHECKED)))
    return file
