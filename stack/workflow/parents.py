"""Find the instance that a new one is to be a branch of, by a name: also in another checkout of the repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stack.errors import StackError
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.worktrees import Checkout, find_checkout, find_checkouts

_MAIN = "main"


def find_parent(settings: Settings, name: str) -> Settings:
    """Return the settings of the instance of that name: here, else of the checkout that the name means.

    That is a worktree by its name, or any checkout by its Git branch; `main` is the main one whatever its branch is.
    Its instance is the default one, unless one of its instances has that name. Raises `branch-unknown`.
    """
    own = replace(settings, instance=name, engine=None, host=None)
    if State(settings.state_root / name).exists():
        return own
    place = settings.state_root if settings.file == PLAYGROUND else settings.file.parent
    here = find_checkout(place)
    others = [each for each in find_checkouts(here) if each.root != here.root] if here else []
    moved = [(each, _moved(own, here, each)) for each in others if here]
    for checkout, theirs in moved:
        if name in (checkout.branch, checkout.own):
            return replace(theirs, instance=None)
    found = [theirs for _, theirs in moved if State(theirs.state_root / name).exists()]
    found += [replace(theirs, instance=None) for each, theirs in moved if each.own is None and name == _MAIN]
    if not found:
        raise StackError(
            "branch-unknown",
            f"there is no instance {name}, and no checkout of this repository with such a branch or name",
            "`stackctl ls` lists the instances, and `git worktree list` the checkouts",
        )
    return found[0]


def _moved(settings: Settings, here: Checkout, there: Checkout) -> Settings:
    """Return the settings as they would be in another checkout; a state outside of both is the same."""

    def move(path: Path) -> Path:
        return there.root / path.relative_to(here.root) if path.is_relative_to(here.root) else path

    file = settings.file if settings.file == PLAYGROUND else move(settings.file)
    return replace(settings, file=file, state_root=move(settings.state_root), worktree=there.name)
