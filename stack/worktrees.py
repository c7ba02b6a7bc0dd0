"""The checkouts of a Git repository, as its files tell: the main one, and those of `git worktree add`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stack.frozen import dataclass

_GIT = ".git"
_LINKS = "worktrees"
_NO_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Checkout:
    """A folder in which a repository is checked out. `own`: Git's name for it, None for the main one.

    `branch`: what is checked out there, if that is a branch.
    """

    root: Path
    own: str | None
    branch: str | None

    @property
    def name(self) -> str | None:
        """The name of a worktree in the letters of the name of an instance; None for the main checkout."""
        return None if self.own is None else _NO_NAME.sub("-", self.own.lower()).strip("-") or None


def find_checkout(folder: Path) -> Checkout | None:
    """Find the checkout that a folder is in, if it is in one."""
    for root in (folder, *folder.parents):
        git = root / _GIT
        if git.is_dir():
            return Checkout(root, None, _branch(git))
        if git.is_file():
            link = _link(git)
            # That of a submodule is elsewhere.
            return Checkout(root, link.name, _branch(link)) if link is not None and link.parent.name == _LINKS else None
    return None


def find_checkouts(own: Checkout) -> list[Checkout]:
    """Return all checkouts of the repository of one, the main one first."""
    git = own.root / _GIT
    link = None if own.own is None else _link(git)
    common = git if link is None else link.parent.parent
    main = [Checkout(common.parent, None, _branch(common))] if common.name == _GIT else []
    return [*main, *_linked(common)]


def _linked(common: Path) -> Iterator[Checkout]:
    for link in sorted((common / _LINKS).glob("*")):
        with suppress(OSError, UnicodeDecodeError):
            root = Path((link / "gitdir").read_text(encoding="utf-8").strip()).parent
            if root.is_dir():
                yield Checkout(root, link.name, _branch(link))


def _link(file: Path) -> Path | None:
    """Return the folder that a file `.git` names."""
    with suppress(OSError, UnicodeDecodeError):
        word, _, path = file.read_text(encoding="utf-8").strip().partition(": ")
        if word == "gitdir":
            return Path(file.parent, path).resolve()
    return None


def _branch(git: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if head.startswith("ref: refs/heads/"):
            return head.removeprefix("ref: refs/heads/")
    return None
