"""Remember which version of Compose the docker client has: asking takes 0.1 s, and the answer changes with an update.

It is remembered for the files of the client and its plugins, which are known by their times and sizes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from stack.engines.docker import api
from stack.files import write_text

_PLUGIN = "docker-compose"
# Where the client looks after the user's own folders (docker/cli, cli-plugins/manager).
_FOLDERS = tuple(
    Path(each)
    for each in (
        "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    )
)  # fmt: skip


def remembered(client: str, ask: Callable[[], str], fits: Callable[[str], bool]) -> str:
    """Return the version of the Compose plugin of a client: by `ask`, if none is remembered for these files.

    Only one that `fits` is remembered, and none if no file of a plugin is found. Raises what `ask` does.
    """
    files = _files(client)
    path = platformdirs.user_cache_path("stackctl") / "compose.json"
    known = api.read_object(path)
    if files and known.get("files") == files and isinstance(version := known.get("version"), str):
        return version
    version = ask()
    if files and fits(version):
        # If it can't be kept, the next command asks again.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps({"files": files, "version": version}))
    return version


def _files(client: str) -> list[list[object]]:
    """Identify the client and each plugin that it may use; nothing if there is none where it is looked for."""
    extra = api.configuration().get("cliPluginsExtraDirs")
    own = [Path(each) for each in extra if isinstance(each, str)] if isinstance(extra, list) else []
    folders = [*own, api.folder() / "cli-plugins", *_FOLDERS]
    plugins = _identified([str(folder / _PLUGIN) for folder in folders])
    return [*_identified([client]), *plugins] if plugins else []


def _identified(paths: Sequence[str]) -> list[list[object]]:
    found: list[list[object]] = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = os.stat(path)
            found.append([path, stat.st_ino, stat.st_size, stat.st_mtime_ns])
    return found
