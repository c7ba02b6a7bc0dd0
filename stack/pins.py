"""Read and write `stack.lock`: the digest that each image of a stack is pinned to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from stack.errors import StackError
from stack.files import explaining, write_text

LOCK_FILE = "stack.lock"
_HEAD = """\
# Written by `stackctl update`. Commit it: `stackctl up` then uses these versions of the images everywhere.
"""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def pinned(image: str, pins: Mapping[str, str]) -> str:
    """Return the reference of an image with its digest, if it is pinned."""
    return f"{image}@{pins[image]}" if image in pins else image


def unpinned(image: str) -> str:
    """Return the reference of an image without its digest."""
    return image.partition("@")[0]


def read_pins(folder: Path) -> Mapping[str, str]:
    """Return the digest of each image by the name in the stack file. Without a file there are none.

    Raises `lock-invalid`.
    """
    path = folder / LOCK_FILE
    if not path.exists():
        return {}
    # Few stacks have the file, and the parser takes as long to import as all of this module.
    import tomllib

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _invalid(path, str(error)) from error
    images = found.get("images", {})
    if not isinstance(images, dict) or set(found) - {"images"}:
        raise _invalid(path, "it has one table, [images], and nothing else")
    for image, digest in images.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise _invalid(path, f"{image}: {digest!r} is not a digest such as sha256:0123…")
    return images


def write_pins(folder: Path, pins: Mapping[str, str]) -> Path:
    """Write the file beside the stack file, whole or not at all, and return its path."""
    # A JSON string without control characters is a TOML string too.
    lines = [f"{json.dumps(image)} = {json.dumps(digest)}" for image, digest in sorted(pins.items())]
    path = folder / LOCK_FILE
    with explaining("file-unusable", path, "name a stack file in a folder that you can write to"):
        write_text(path, "\n".join([f"{_HEAD}[images]", *lines, ""]), mode=0o644)
    return path


def _invalid(path: Path, problem: str) -> StackError:
    return StackError(
        "lock-invalid", f"{path} can't be used: {problem}", "correct it, or remove it and run `stackctl update`"
    )
