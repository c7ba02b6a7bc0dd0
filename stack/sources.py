"""The source files of an app: those of its folder without what `stack.ignored` excludes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stack.applied import Files, FileState
from stack.errors import DeclarationError
from stack.ignored import Ignored, combined
from stack.workload import DOCKERFILE, Build

# No source has a file of this name as a path: it is shown in its place.
_OPTIONS = "(build options)"


def check_source(folder: Path, where: str, builds: bool, dockerfile: str = DOCKERFILE) -> None:
    """Raise `DeclarationError` if it is not a folder, or if an image is built from it, has no Dockerfile."""
    if not folder.is_dir():
        problem = "is not a folder" if os.path.lexists(folder) else "does not exist"
        raise DeclarationError(where, f"{folder} {problem}", "name the folder of the app in the stack file")
    if builds and not (folder / dockerfile).is_file():
        hint = "write a Dockerfile there, or name the folder that has one, or its path in the folder: dockerfile='…'"
        raise DeclarationError(where, f"{folder} has no {dockerfile}", hint)


def ignore_text(folder: Path, state_root: Path, where: str, dockerfile: str = DOCKERFILE) -> str:
    """Return the ignore rules of a folder. `state_root` holds the state of instances; `where` is the path of the field.

    Raises `DeclarationError` if the rules can't be read, or the source is inside the state.
    """
    source, states = os.path.realpath(folder), os.path.realpath(state_root)
    shared = os.path.commonpath([source, states])
    if shared == states:
        raise DeclarationError(
            where,
            f"{folder} lies in {state_root}, which holds the state and the secrets of the instances",
            "set STACKCTL_STATE to a folder of its own",
        )
    return combined(
        _own_rules(folder, where, dockerfile), [os.path.relpath(states, source)] if shared == source else []
    )


def _own_rules(folder: Path, where: str, dockerfile: str) -> str:
    """Read the rules as Docker does: those of the Dockerfile take precedence over those of the folder."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            return (folder / name).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unusable(where, folder / name, error) from error
    return ""


def _unusable(where: str, path: Path, error: OSError) -> DeclarationError:
    hint = "correct its permissions, or exclude it with a line in .dockerignore"
    return DeclarationError(where, f"{path}: {error.strerror or error}", hint)


def read_files(
    folder: Path, state_root: Path, known: Files, where: str, dockerfile: str = DOCKERFILE
) -> dict[str, FileState]:
    """Read the files of a folder. One whose size and time are those in `known` is not read again, as in git.

    Raises `DeclarationError` as `ignore_text` does, and if a file can't be read.
    """
    ignored = Ignored.read(ignore_text(folder, state_root, where, dockerfile))
    files = {}
    for path in sorted({*_paths(folder, ignored), *_origin(folder, dockerfile)}):
        try:
            files[path] = _state(folder / path, known.get(path))
        except FileNotFoundError:  # deleted meanwhile
            continue
        except OSError as error:
            raise _unusable(where, folder / path, error) from error
    return files


def options(build: Build) -> dict[str, FileState]:
    """Return what an image depends on beside the files of its source, as one more file; nothing if it is the default.

    So an image is built again if only these change, even after a `down`.
    """
    if build == Build():
        return {}
    text = repr((build.dockerfile, build.target, sorted(build.args.items())))
    return {_OPTIONS: FileState(0, 0, 0, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())}


def check_names(files: Files, where: str) -> None:
    """Raise `DeclarationError` for a name that is not UTF-8: BuildKit accepts none in a build context."""
    for path in files:
        if any("\udc80" <= letter <= "\udcff" for letter in path):
            hint = "rename it, or exclude it with a line in .dockerignore"
            raise DeclarationError(where, f"the name {path!r} is not UTF-8, and no image can be built with it", hint)


def _state(path: Path, known: FileState | None) -> FileState:
    found = path.lstat()
    seen = (found.st_size, found.st_mtime_ns, found.st_mode)
    if known is not None and (known.size, known.changed, known.mode) == seen:
        return known
    content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return FileState(*seen, hashlib.sha256(content).hexdigest())


def _paths(folder: Path, ignored: Ignored) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not ignored.covers_all_of((here / name).as_posix())]
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*files, *linked):
            path = (here / name).as_posix()
            if not ignored.covers(path) and _counts(Path(parent) / name):
                yield path


def _origin(folder: Path, dockerfile: str) -> Iterator[str]:
    """Yield the files that say how the image is built: they count even if the rules exclude their folder."""
    return (name for name in (dockerfile, f"{dockerfile}.dockerignore") if (folder / name).is_file())


def _counts(path: Path) -> bool:
    """Whether it is a file or a link, and not a socket or pipe."""
    try:
        return stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFLNK)
    except FileNotFoundError:  # deleted meanwhile
        return False
