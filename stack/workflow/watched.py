"""Decide which component a changed file belongs to, and what is done about it. Reads nothing but rules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from stack.frozen import dataclass
from stack.ignored import Ignored, combined
from stack.pins import LOCK_FILE
from stack.settings import Settings
from stack.sources import ignore_text
from stack.workflow.opened import Opened
from stack.workflow.parameters import FILE

Kind = Literal["source", "mount", "file"]
"""What a place is to a component: its image is built of it, or it runs there; it sees it as it is; it gets a copy."""

# Made by tools and editors, and no part of any program.
_TOOLS = frozenset(
    {".git", ".hg", ".svn", ".tox", ".idea", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
)
_SCRATCH = re.compile(r".*\.py[co]|.*~|\..*\.sw.|\.#.*|#.*#|4913|\.DS_Store|.*\.___jb_(tmp|old|bak)___")


@dataclass(frozen=True)
class Place:
    """A file or folder of a component, by its absolute path. `rules`: what is left out of it, by paths from there."""

    component: str
    path: Path
    kind: Kind
    rules: Ignored

    def has(self, path: Path) -> bool:
        """Say whether a file belongs to it."""
        if path == self.path:
            return True
        return path.is_relative_to(self.path) and not self.rules.covers(path.relative_to(self.path).as_posix())

    def enters(self, folder: Path) -> bool:
        """Say whether anything in a folder inside may belong to it."""
        return not self.rules.covers_all_of(folder.relative_to(self.path).as_posix())


@dataclass(frozen=True)
class Changes:
    """What changed: `files`, all that concern anything. `declared`: the declaration is among them.

    `components`: those concerned, each with what the files are to it.
    """

    files: tuple[Path, ...] = ()
    declared: bool = False
    components: Mapping[str, frozenset[Kind]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.files)


@dataclass(frozen=True)
class Watched:
    """The places of all components, and the files of the declaration itself. `root`: the folder of the stack file."""

    root: Path
    places: tuple[Place, ...] = ()
    declaration: frozenset[Path] = frozenset()

    def changes(self, paths: Iterable[Path], ignored: Iterable[Path] = ()) -> Changes:
        """Sort changed paths by what they concern; those of tools and editors, and the `ignored`, concern nothing."""
        files, components = [], dict[str, set[Kind]]()
        for path in sorted({*paths}.difference(ignored)):
            found = [] if is_scratch(path, self.root) else [place for place in self.places if place.has(path)]
            if found or path in self.declaration:
                files.append(path)
            for place in found:
                components.setdefault(place.component, set()).add(place.kind)
        kinds = {name: frozenset(each) for name, each in components.items()}
        return Changes(tuple(files), not self.declaration.isdisjoint(files), kinds)

    def folders(self) -> Iterator[Path]:
        """Yield the folders that have to be watched: those of every place, and the nearest of what is not there."""
        for path in (*self.declaration, *(place.path for place in self.places)):
            yield _nearest(path.parent)
        for place in self.places:
            if place.path.is_dir():
                yield place.path
                yield from _below(place, self.root)


def is_scratch(path: Path, root: Path) -> bool:
    """Say whether a file is one of a tool or an editor."""
    inner = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    return bool(_SCRATCH.fullmatch(path.name)) or not _TOOLS.isdisjoint(inner)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the innermost around it that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _below(place: Place, root: Path) -> Iterator[Path]:
    for parent, folders, _ in os.walk(place.path):
        here = Path(parent)
        folders[:] = [
            name
            for name in folders
            if name not in _TOOLS and not (here / name).is_symlink() and place.enters(here / name)
        ]
        yield from (here / name for name in folders)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that is new, also in those inside."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _TOOLS]
        yield from (Path(parent) / name for name in files)


def watched(opened: Opened, settings: Settings) -> Watched:
    """Return what is to be watched of an instance: of each component what it says, else its source and its mounts."""
    folder = opened.instance.folder
    names = {settings.file, folder / FILE, folder / LOCK_FILE}
    read = {opened.instance.path(each) for component in opened.instance.stack for each in component.variable_files}
    places = [place for name in opened.instance.stack.names for place in _places(opened, name)]
    return Watched(folder, tuple(places), frozenset(Path(os.path.normpath(each)) for each in {*names, *read}))


def _places(opened: Opened, name: str) -> Iterator[Place]:
    """Yield the places of a component. One that it may write to itself is not watched unless it says so."""
    instance, stack = opened.instance, opened.instance.stack
    contained, workload = opened.engine.traits.target == "container", stack.own_workload(name, "container")
    source, states = instance.source(name), instance.state.parent
    plain, chosen = Ignored.read(combined("")), workload.watch
    inside: list[Place] = []
    if source is not None:
        where = f"{stack.name}/{name}/source"
        rules = Ignored.read(ignore_text(source, states, where, instance.build(name).dockerfile))
        inside.append(Place(name, source, "source", rules))
    mounts = workload.hardening.mounts if contained else ()
    inside += [
        Place(name, instance.path(each.source), "mount", plain)
        for each in mounts
        if chosen is not None or not each.writable
    ]
    if chosen is None:
        yield from inside
    else:
        for path in map(instance.path, chosen):
            yield from _chosen(name, path, inside, plain)
    for file in workload.files:
        if file.source is not None:
            yield Place(name, instance.path(file.source), "file", plain)


def _chosen(name: str, path: Path, inside: list[Place], plain: Ignored) -> Iterator[Place]:
    """Yield the parts of a source and of mounts that were chosen; what is in none of these is a mount: it restarts."""
    found = False
    for place in inside:
        if place.path.is_relative_to(path):
            found = True
            yield place
        elif path.is_relative_to(place.path):
            found = True
            yield Place(name, path, place.kind, _from(place, path))
    if not found:
        yield Place(name, path, "mount", plain)


def _from(place: Place, path: Path) -> Ignored:
    """Return the rules of a place for a folder inside of it."""
    return _Below(place.rules.rules, place.rules.negations, path.relative_to(place.path).as_posix())


@dataclass(frozen=True)
class _Below(Ignored):
    """Rules that are asked with paths from a folder inside."""

    inner: str = ""

    def covers(self, path: str) -> bool:
        return super().covers(f"{self.inner}/{path}")

    def covers_all_of(self, folder: str) -> bool:
        return Ignored(self.rules, self.negations).covers_all_of(f"{self.inner}/{folder}")
