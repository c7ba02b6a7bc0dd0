"""Carry secrets and files of the state to the volume on the server that `remote` mounts them from.

A note in the state says what was carried, and into which volume: nothing is sent twice. A container keeps the file that
it started with, as it keeps one of this machine that is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stack.engines.compose import remote, render
from stack.engines.compose.volume_files import ONE_OFF, empty_image
from stack.engines.docker import arguments, client, removal
from stack.engines.docker.objects import READ_TIMEOUT, inspect
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.instance import Instance
from stack.state import State

LABEL_FILES = "stackctl.carried"
_NOTE = "compose/carried.json"
_FOLDER = "/carried"
_FOLDER_MODE = 0o755


def carry(instance: Instance) -> None:
    """Bring the volume up to date. Does nothing if it is."""
    files = _files(instance)
    now = {path.relative_to(instance.state).as_posix(): _digest(path) for path in files}
    found = _volume(instance)
    if found is not None and _noted(instance) == {"volume": found["CreatedAt"], "files": now}:
        return
    if found is None:
        labels = {**render.labels(instance), LABEL_FILES: instance.project}
        client.read(arguments.create_volume(remote.volume(instance), labels), READ_TIMEOUT, host=instance.host)
        found = _volume(instance)
    if files:
        with _container(instance) as name:
            _send(instance, name, files)
    note = {"volume": found["CreatedAt"] if found else "", "files": now}
    State(instance.state).write(_NOTE, json.dumps(note) + "\n")


def remove(instance: Instance) -> None:
    """Remove the volume, if there is one."""
    if _volume(instance) is not None:
        removal.remove_volumes([remote.volume(instance)], instance.host)


def _files(instance: Instance) -> list[Path]:
    """List what the components read: each secret that exists, and each file, of a folder all that is in it."""
    state = State(instance.state)
    secrets = [instance.secret_file(each) for each in instance.secret_files("container") if state.has_secret(each)]
    declared = [
        instance.config_file(file) for name in instance.stack.names for file in render.workload_of(instance, name).files
    ]
    roots = [path for path in (*secrets, *declared) if path.exists()]
    return sorted({each for root in roots for each in (root, *(root.rglob("*") if root.is_dir() else ()))})


def _digest(path: Path) -> str:
    mode = stat.S_IMODE(path.stat().st_mode)
    content = b"" if path.is_dir() else path.read_bytes()
    return f"{mode:o} {hashlib.sha256(content).hexdigest()}"


def _volume(instance: Instance) -> Mapping[str, Any] | None:
    return next(iter(inspect(volumes=[remote.volume(instance)], host=instance.host)), None)


def _noted(instance: Instance) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads((instance.state / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


@contextlib.contextmanager
def _container(instance: Instance) -> Iterator[str]:
    """Create a container on the volume that never runs, and remove it after the block."""
    name, own = f"{instance.project}-carrier", {render.LABEL_PROJECT: instance.project, ONE_OFF: "True"}
    image = empty_image(instance, render.labels(instance) | {render.LABEL_PROJECT: instance.project})
    client.run(arguments.remove_containers([name]), READ_TIMEOUT, host=instance.host)
    create = arguments.create_container(name, image, remote.volume(instance), _FOLDER, own)
    client.read(create, client.STOP_TIMEOUT, host=instance.host)
    try:
        yield name
    finally:
        client.run(arguments.remove_containers([name]), READ_TIMEOUT, host=instance.host)


def _send(instance: Instance, container: str, files: list[Path]) -> None:
    command = client.command(arguments.copy_in(container, _FOLDER))
    with Pipe(command, client.environment(instance.host), feed=True) as pipe:
        try:
            _write_tar(pipe, instance.state, files)
        except BrokenPipeError as error:
            pipe.finish()
            raise _failed(instance, pipe.complaint) from error
        if pipe.finish():
            raise _failed(instance, pipe.complaint)


def _write_tar(pipe: Pipe, root: Path, files: list[Path]) -> None:
    """Write files with the modes that they have here, as root's: the users of containers differ."""
    above = {parent for path in files for parent in path.relative_to(root).parents if parent != Path()}
    with tarfile.open(fileobj=pipe.input, mode="w|") as tar:
        for folder in sorted(above.difference(path.relative_to(root) for path in files)):
            entry = tarfile.TarInfo(folder.as_posix())
            entry.type, entry.mode = tarfile.DIRTYPE, _FOLDER_MODE
            tar.addfile(entry)
        for path in files:
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.mode = stat.S_IMODE(path.stat().st_mode)
            if path.is_dir():
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
                continue
            with path.open("rb") as content:
                entry.size = path.stat().st_size
                tar.addfile(entry, content)


def _failed(instance: Instance, output: str) -> StackError:
    return client.failed("cp", output, instance.host)
