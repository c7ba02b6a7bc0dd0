"""Read and check what is carried to containers: files and folders beside the stack file, and folders to mount."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack.contents import Content, Entry
from stack.errors import DeclarationError
from stack.model import Stack
from stack.workload import File, Mount, Workload

# What an engine on many machines carries as its own object is about as small.
_MOST_CARRIED = 2**20


def read_contents(stack: Stack, folder: Path, state_root: Path) -> dict[str, Content]:
    """Read what the components of a stack find in their containers, by the name of each file, as far as it can be."""
    contents = {}
    for file, where in _declared_files(stack):
        with contextlib.suppress(DeclarationError):
            contents[file.name] = _content(folder, str(file.source), state_root, where)
    return contents


def check_contents(stack: Stack, folder: Path, state_root: Path, contents: Mapping[str, Content]) -> None:
    """Raise `DeclarationError` for a file that is missing, or can't be carried to a container. `contents`: the read."""
    for file, where in _declared_files(stack):
        if file.name not in contents:
            _content(folder, str(file.source), state_root, where)


def check_mounts(stack: Stack, folder: Path, host: str | None = None) -> None:
    """Raise `DeclarationError` for a mount that is no folder of the project, also through a link.

    On a server every mount is one: no folder of this machine is there.
    """
    project = folder.resolve()
    for name in stack.names:
        for mount in stack.workload(name, "container").hardening.mounts:
            where, source = f"{stack.name}/{name}/mounts/{mount.source}", folder / mount.source
            if host is not None:
                problem = f"is a folder of this machine, which {host} does not have"
                raise DeclarationError(where, problem, "copy files with files=, or into the image; or leave --host out")
            if not source.is_dir():
                raise DeclarationError(where, f"{source} is not a folder", "name a folder of the project")
            if (inner := _absent(stack.workload(name, "container"), mount, source)) is not None:
                problem = f"{inner} does not exist, and a volume has its place there"
                raise DeclarationError(where, problem, f"mkdir -p {shlex.quote(str(inner))}")
            if not source.resolve().is_relative_to(project):
                problem = f"is refused: it leads to {source.resolve()}, outside of the project"
                raise DeclarationError(where, problem, "name a folder of the project, or copy files with files=")


def _absent(workload: Workload, mount: Mount, source: Path) -> Path | None:
    """Return a folder of the project on which a volume is to be mounted, and that is not there."""
    inside = [each.target for each in workload.volumes if each.target.startswith(f"{mount.target}/")]
    places = [source / posixpath.relpath(target, mount.target) for target in inside]
    return next((place for place in places if not place.is_dir()), None)


def _declared_files(stack: Stack) -> Iterator[tuple[File, str]]:
    """Yield each file that is copied, and the path of its field."""
    for name in stack.names:
        for file in stack.workload(name, "container").files:
            if file.source is not None:
                yield file, f"{stack.name}/{name}/files/{file.source}"


def _content(folder: Path, source: str, state_root: Path, where: str) -> Content:
    path = Path(os.path.normpath(folder / source))
    states, real = state_root.resolve(), path.resolve()
    if states.is_relative_to(real) or real.is_relative_to(states):
        raise DeclarationError(
            where, f"{path} holds the state and the secrets of the instances", "name the file itself, or another folder"
        )
    try:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.is_file())
            entries = [_entry(each, each.relative_to(path).as_posix()) for each in _within(found, where, path)]
            return Content(tuple(entries), is_folder=True)
        if not path.is_file():
            problem = "is neither a file nor a folder" if os.path.lexists(path) else "does not exist"
            raise DeclarationError(where, f"{path} {problem}", "name a file or folder beside the stack file")
        return Content(tuple(_entry(each, "") for each in _within([path], where, path)))
    except OSError as error:
        raise DeclarationError(where, f"{path}: {error.strerror or error}", "correct its permissions") from error


def _within(files: list[Path], where: str, path: Path) -> list[Path]:
    """Return files that are small enough to be carried to any engine."""
    if sum(each.stat().st_size for each in files) > _MOST_CARRIED:
        problem = f"{path} is larger than {_MOST_CARRIED // 2**20} MiB; files= is for configuration"
        raise DeclarationError(where, problem, "build what is large into an image, or put it into a volume")
    return files


def _entry(path: Path, name: str) -> Entry:
    return Entry(name, path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))
