"""Carry secrets and files of the state to the volume on the server that `remote` mounts them from.

A note in the state says what was carried, and into which volume: nothing is sent twice.
"""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stack.engines.compose import remote, render
from stack.engines.compose.volume_files import container_on, start_pipe
from stack.engines.docker import arguments, client
from stack.engines.docker.mounted import copied_in
from stack.engines.docker.objects import READ_TIMEOUT, inspect
from stack.engines.docker.resolving import workload_of
from stack.instance import Instance
from stack.state import State

LABEL_FILES = "stackctl.carried"
_NOTE = "carried.json"
_FOLDER = "/carried"
_FOLDER_MODE = 0o755


def carry(instance: Instance) -> None:
    """Bring the volume up to date. Does nothing if it is."""
    parts = _parts(instance)
    now = {path: _digest(source) for path, source in parts.items()}
    found = _volume(instance)
    if found is not None and _noted(instance) == {"volume": found["CreatedAt"], "parts": now}:
        return
    if found is None:
        labels = {**render.labels(instance), LABEL_FILES: instance.project}
        client.read(arguments.create_volume(remote.volume(instance), labels), READ_TIMEOUT, host=instance.host)
        found = _volume(instance)
    if parts:
        _send(instance, parts)
    note = {"volume": found["CreatedAt"] if found else "", "parts": now}
    State(instance.state).write(instance.generated(_NOTE), json.dumps(note) + "\n")


def remove(instance: Instance) -> None:
    """Remove the volume, if there is one."""
    if _volume(instance) is not None:
        client.read(arguments.remove_volumes([remote.volume(instance)]), READ_TIMEOUT, host=instance.host)


def _parts(instance: Instance) -> dict[str, Path | None]:
    """Return what is at each path of the volume, by the path: a file or folder of this machine, None for a new folder.

    These are the secrets of each component that exist, and the files, of a folder all that is in it.
    """
    state, found = State(instance.state), dict[str, Path | None]()
    for name in instance.stack.names:
        workload = workload_of(instance, name)
        if workload.secrets:
            found[remote.secrets_folder(name)] = None
        for secret in workload.secrets:
            if state.has_secret(secret.id):
                found[f"{remote.secrets_folder(name)}/{secret.id}"] = instance.secret_file(secret.id)
        for file in workload.files:
            found |= _all_of(remote.part(instance, file), instance.config_file(file))
    above = {parent.as_posix(): None for path in found for parent in PurePosixPath(path).parents if parent.name}
    return dict(sorted({**above, **found}.items()))


def _all_of(part: str, root: Path) -> dict[str, Path | None]:
    if not root.exists():
        return {}
    inside = root.rglob("*") if root.is_dir() else ()
    return {part: root, **{f"{part}/{each.relative_to(root).as_posix()}": each for each in inside}}


def _digest(source: Path | None) -> str:
    if source is None:
        return ""
    content = b"" if source.is_dir() else source.read_bytes()
    return f"{_mode(source):o} {hashlib.sha256(content).hexdigest()}"


def _mode(source: Path | None) -> int:
    return _FOLDER_MODE if source is None else stat.S_IMODE(source.stat().st_mode)


def _volume(instance: Instance) -> Mapping[str, Any] | None:
    return next(iter(inspect(volumes=[remote.volume(instance)], host=instance.host)), None)


def _noted(instance: Instance) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads((instance.configuration / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _send(instance: Instance, parts: Mapping[str, Path | None]) -> None:
    name, failed = f"{instance.project}-carrier", partial(client.failed, "cp", host=instance.host)
    # One may be left of a command that was killed.
    client.run(arguments.remove_containers([name]), READ_TIMEOUT, host=instance.host)
    with (
        container_on(instance, name, remote.volume(instance), _FOLDER),
        copied_in(partial(start_pipe, instance), name, _FOLDER, failed) as sink,
    ):
        _write_tar(sink, parts)


def _write_tar(sink: IO[bytes], parts: Mapping[str, Path | None]) -> None:
    """Write them with the modes that they have here, as root's: the users of containers differ."""
    with tarfile.open(fileobj=sink, mode="w|") as tar:
        for path, source in parts.items():
            entry = tarfile.TarInfo(path)
            entry.mode = _mode(source)
            if source is None or source.is_dir():
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
                continue
            with source.open("rb") as content:
                entry.size = source.stat().st_size
                tar.addfile(entry, content)
