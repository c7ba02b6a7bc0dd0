"""What an image of Docker holds, read from a `docker save` of it: each layer, and what is told of it."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cli import Cli


def secrets_in(image: str, cli: Cli) -> list[str]:
    """The names of the instance's secrets that an image holds anywhere."""
    values = {path.name: path.read_bytes().strip() for path in (cli.state / "secrets").iterdir()}
    assert values, "an instance without a secret proves nothing"
    found: set[str] = set()
    with _saved(image) as archive:
        for part in archive:
            if part.isfile() and (file := archive.extractfile(part)):
                found |= _held(file.read(), values)
    return sorted(found)


def _held(part: bytes, values: Mapping[str, bytes]) -> set[str]:
    content = gzip.decompress(part) if part.startswith(b"\x1f\x8b") else part
    return {name for name, value in values.items() if value in content}


def files_in(image: str, folder: str) -> set[str]:
    """The paths of the files below a folder of an image, relative to it."""
    found: set[str] = set()
    with _saved(image) as archive:
        for part in archive:
            if part.isfile() and (file := archive.extractfile(part)):
                found |= set(_below(file.read(), folder))
    return found


def _below(part: bytes, folder: str) -> Iterator[str]:
    try:
        with tarfile.open(fileobj=io.BytesIO(part)) as layer:
            for entry in layer:
                if entry.name.startswith(f"{folder}/") and not entry.isdir():
                    yield entry.name.removeprefix(f"{folder}/")
    except tarfile.ReadError:  # a description, and no layer
        return


@contextmanager
def _saved(image: str) -> Iterator[tarfile.TarFile]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        subprocess.run(["docker", "save", "--output", str(path), image], check=True, capture_output=True, timeout=120)
        with tarfile.open(path) as archive:
            yield archive
