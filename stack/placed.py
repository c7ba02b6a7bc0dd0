"""What a component finds in its container beside its volumes: files that are copied, folders that are mounted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from stack.calls import sequence
from stack.checking import checked_mapping, checked_path, checked_plain, checked_target
from stack.component import Component
from stack.references import variable_prefix
from stack.workload import File, Mount

_OF_SECRETS = re.compile(r"/run/secrets/[A-Za-z0-9][A-Za-z0-9_.-]*")


def checked_files(component: Component, files: object, taken: Collection[str] = ()) -> Mapping[str, str]:
    """Return where each file or folder beside the stack file is in a container. `taken`: places of something else."""
    checked = {
        checked_path(component, "files", source): _checked_file_target(component, f"files/{source}", target)
        for source, target in checked_mapping(component, "files", files).items()
    }
    keys: dict[str, str] = {}
    for source, target in checked.items():
        checked_plain(component, "files", source)
        if not (key := file_key(source)):
            raise component.wrong(f"files/{source}", "is no file or folder below that of the stack file")
        if key in keys:
            raise component.wrong(
                f"files/{source}",
                f"gets the same variable as {keys[key]!r}, FILE_{variable_prefix(key)}; rename one of them",
            )
        keys[key] = source
        _check_place(component, f"files/{source}", target, checked, taken)
    return MappingProxyType(checked)


def _checked_file_target(component: Component, path: str, target: object) -> str:
    """Return the place of a file. Images that know Docker's secrets read theirs at a fixed place among them."""
    if isinstance(target, str) and _OF_SECRETS.fullmatch(target):
        return target
    return checked_target(component, path, target)


def _check_place(
    component: Component, path: str, target: str, placed: Mapping[str, str], taken: Collection[str]
) -> None:
    if target in taken or list(placed.values()).count(target) > 1:
        raise component.wrong(path, f"{target!r} is the place of something else too")


def file_key(source: str) -> str:
    """Return the name by which a component knows a file: `conf/nginx.conf` is `nginx-conf`."""
    return re.sub(r"[^a-z0-9]+", "-", posixpath.basename(posixpath.normpath(source)).lower()).strip("-")


def files_of(component: Component, files: Mapping[str, str]) -> tuple[File, ...]:
    return tuple(
        File(f"{component.name}.{file_key(source)}", target, source=source, tracked=True)
        for source, target in files.items()
    )


def checked_mounts(component: Component, mounts: object, taken: Collection[str] = ()) -> Mapping[str, str]:
    """Return where each folder of the project is in a container. `taken`: places of something else."""
    checked = {
        _checked_folder(component, source): checked_target(component, f"mounts/{source}", target)
        for source, target in checked_mapping(component, "mounts", mounts).items()
    }
    for source, target in checked.items():
        _check_place(component, f"mounts/{source}", target, checked, taken)
    return MappingProxyType(checked)


def _checked_folder(component: Component, source: object) -> str:
    return _in_project(component, "mounts", source, "its data can be in volumes=, configuration in files=")


def _in_project(component: Component, field: str, given: object, instead: str) -> str:
    path = posixpath.normpath(checked_plain(component, field, checked_path(component, field, given)))
    if path.startswith(("/", "~", "..")):
        raise component.wrong(f"{field}/{given}", f"is refused: it is outside of the project; {instead}")
    return path


def checked_watch(component: Component, watch: object) -> tuple[str, ...]:
    """Return the files and folders of the project whose changes concern a component."""
    paths = [
        _in_project(component, "watch", path, "name what lies beside the stack file")
        for path in sequence(f"{component.name}/watch", watch)
    ]
    return tuple(dict.fromkeys(paths))


def watch_of(watch: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if watch is None else tuple(watch)


def mounts_of(mounts: Mapping[str, str], writable: bool) -> tuple[Mount, ...]:
    return tuple(Mount(source, target, writable) for source, target in mounts.items())
