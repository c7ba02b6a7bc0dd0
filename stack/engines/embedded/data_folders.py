"""Find, check and delete the folders that hold the data of an embedded instance."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stack.capabilities import Programs
from stack.component import Component
from stack.engines.embedded.layout import Home
from stack.engines.embedded.render import declared_process, process_of
from stack.engines.embedded.waiting import wait_until
from stack.errors import StackError
from stack.instance import Instance
from stack.references import Reference, references_in
from stack.workload import Volume

# How long an offline server may take to end after the command that ran it was killed.
_OFFLINE_ENDS_TIMEOUT = 60.0


def is_volume(folder: Path) -> bool:
    """Say whether a folder holds data, under its own name: one that is being made or deleted has another."""
    with contextlib.suppress(OSError):
        return not folder.name.startswith(".") and folder.is_dir() and any(folder.iterdir())
    return False


def declared_volumes(instance: Instance) -> list[Volume]:
    """Return the volumes that the stack declares."""
    stack = instance.stack
    # Those of a container are the same, and a component that can't run as a process has a container all the same.
    return [volume for name in stack.names for volume in stack.workload(name, "container").volumes]


def all_volumes(instance: Instance, home: Home) -> tuple[str, ...]:
    """Return the folder of each volume that exists, also of those that nothing uses any more."""
    data = home.folder / "data"
    found = data.iterdir() if data.is_dir() else ()
    work = {folder.name for folder in work_folders(instance, home)}
    # A declared volume may be empty so far.
    declared = {home.volume(volume.id) for volume in declared_volumes(instance)}
    volumes = (path for path in found if path in declared or (is_volume(path) and path.name not in work))
    return tuple(sorted(map(str, volumes)))


def empty_folders(instance: Instance, home: Home) -> Iterator[Path]:
    """Yield the folders that components expect to find, empty at first: volumes, and folders to work in."""
    for name in instance.stack.names:
        volumes = process_of(instance, name).volumes
        yield from (home.volume(volume.id) for volume in volumes if not volume.initialized)
    yield from work_folders(instance, home)


def work_folders(instance: Instance, home: Home) -> Iterator[Path]:
    """Yield the data folders of components without a volume: nothing in them has to be kept."""
    for name in instance.stack.names:
        process = declared_process(instance, name)
        if process is None or process.volumes:
            continue
        values = (*(process.command or ()), *process.environment.values())
        if Reference(name, "data") in [each for value in values for each in references_in(value)]:
            yield home.data(name)


def check_data(stack: Iterable[Component], home: Home, programs: Mapping[str, Programs]) -> None:
    """Raise if a server must not be started on the data that it would find."""
    for component in stack:
        data, own = home.data(component.name), component.data_folder
        if own and data.exists() and (found := own.problem(data, programs[component.name])):
            raise StackError(
                found[0],
                found[1],
                "nothing was touched; bring the data back or use the PostgreSQL that made it, "
                "or start over without it: `stackctl reset`",
            )


def await_unused(stack: Iterable[Component], folder: Path) -> None:
    """Wait for an offline server left by a killed command; it exits once its stdin closes. Raises `process-stuck`."""
    owners = [component.data_folder for component in stack if component.data_folder is not None]
    if not wait_until(lambda: not any(own.in_use(folder) for own in owners), _OFFLINE_ENDS_TIMEOUT):
        raise StackError(
            "process-stuck", f"a PostgreSQL on {folder} does not end", f"see `{folder}/postmaster.pid`, and end it"
        )


def discard(folder: Path) -> None:
    """Delete a data folder atomically: rename it first, so that a partial delete never has its name.

    The next `initdb` removes what is left of one.
    """
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    folder.rename(gone)
    shutil.rmtree(gone)
