"""What `update` reports."""

from __future__ import annotations

from pathlib import Path

from stack.frozen import dataclass


@dataclass(frozen=True)
class ImageUpdate:
    """An image of the stack.

    `image`: its name in the stack file.
    `components`: the components that run it.
    `pinned`: the digest in stack.lock before; null if it was not pinned.
    `newest`: the digest that its tag has in the registry.
    """

    image: str
    components: tuple[str, ...]
    pinned: str | None
    newest: str


@dataclass(frozen=True)
class UpdateResult:
    """What `update` found.

    `images`: each image that was looked up.
    `file`: the lock file.
    `changes`: whether an image is newer than its pin, or was not pinned.
    `written`: whether the lock file was written.
    """

    images: tuple[ImageUpdate, ...]
    file: Path
    changes: bool
    written: bool
