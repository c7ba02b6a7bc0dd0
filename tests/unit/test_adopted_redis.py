"""What a Redis saved from time to time becomes the log that a durable one reads."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

import pytest

from stack.components.redis.adopting import with_log


def tar_of(files: Mapping[str, bytes]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid = len(content), 999, 1000
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            tar.addfile(entry, io.BytesIO(content))
    made.seek(0)
    return made


def rewritten(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The files of the folder as a durable Redis gets it."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(with_log(tar_of(files))))) as tar:
        for entry in tar:
            assert (entry.uid, entry.gid) == (999, 1000)
            content = tar.extractfile(entry) if entry.isreg() else None
            found[entry.name] = content.read() if content else b""
    return found


@pytest.mark.parametrize("size", [0, 512, 70_000])
def test_what_was_saved_is_the_base_of_a_log(size: int) -> None:
    found = rewritten({"./": b"", "./dump.rdb": b"x" * size, "./other": b"y"})
    assert found == {
        ".": b"",
        "appendonlydir": b"",
        "appendonlydir/appendonly.aof.manifest": b"file appendonly.aof.1.base.rdb seq 1 type b\n",
        "appendonlydir/appendonly.aof.1.base.rdb": b"x" * size,
        "./other": b"y",
    }


@pytest.mark.parametrize("log", ["./appendonlydir/", "./appendonly.aof"])
def test_a_log_that_is_there_stays_as_it_is(log: str) -> None:
    files = {"./": b"", log: b"", "./dump.rdb": b"old"}
    assert rewritten(files) == {name.rstrip("/"): content for name, content in files.items()}


def test_the_whole_tar_is_read() -> None:
    source = tar_of({"./dump.rdb": b"x"})
    assert b"".join(with_log(source))
    assert source.read() == b""
