"""Find the virtual environment whose programs an app runs with: that of its project, else the caller's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack.engines.embedded.search import links_of
from stack.instance import Instance

_NAME = ".venv"
# What the bundled service needs came with stackctl.
_BUNDLED = Path(__file__).parents[3] / "service"


def find(instance: Instance, active: Path | None) -> Mapping[str, Path]:
    """Give the environment of each component that runs in a source folder, of those that have one.

    The `.venv` of the source folder comes first, then that of the stack file's folder, then `active`, the one that the
    caller has activated.
    """
    found = {}
    for name in instance.stack.names:
        source = instance.source(name)
        if source is None or source == _BUNDLED:
            continue
        places = [source / _NAME, instance.folder / _NAME, active]
        if (chosen := next((place for place in places if place is not None and is_usable(place)), None)) is not None:
            found[name] = chosen
    return found


def is_usable(folder: Path) -> bool:
    """Say whether it has a Python and is not stackctl's own environment, whose programs are found anyway."""
    if not (folder / "pyvenv.cfg").is_file() or not (folder / "bin" / "python").exists():
        return False
    return os.path.realpath(folder) != os.path.realpath(sys.prefix)


def activated(environment: Mapping[str, str], remembered: Path) -> Path | None:
    """Give the environment that the caller has activated, else the one of the last `up`: no shell needs it twice."""
    if (named := environment.get("VIRTUAL_ENV")) and is_usable(Path(named)):
        return Path(os.path.abspath(named))
    try:
        return Path(remembered.read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        return None


def needed_of(folder: Path) -> Iterator[Path]:
    """Yield what of the machine's files its Python needs."""
    yield folder
    yield from links_of(folder / "bin" / "python")
    for line in (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            yield Path(value.strip()).parent
