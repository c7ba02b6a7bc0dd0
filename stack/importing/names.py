"""Give what Compose names freely the names that a stack file can have: of components, and of Python. Pure."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Iterable

_LONGEST = 31
# What a stack file has by these names already.
_TAKEN = {*dir(builtins), *keyword.kwlist, *keyword.softkwlist, "health", "stack"}


def component_name(name: str, front: str = "s") -> str:
    """Return the nearest name that a component can have: a-z, 0-9 and -, at most 31, a letter first."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or front
    slug = slug if slug[0].isalpha() else f"{front}-{slug}"
    return slug[:_LONGEST].rstrip("-")


def component_names(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Return a name for each, no two alike. One that is right already is kept, whatever comes before it."""
    listed = list(names)
    found = {name: name for name in listed if component_name(name) == name and name not in taken}
    used = {*found.values(), *taken}
    for name in listed:
        if name not in found:
            found[name] = _free(component_name(name), used)
            used.add(found[name])
    return {name: found[name] for name in listed}


def _free(name: str, used: Collection[str]) -> str:
    number, free = 2, name
    while free in used:
        end = f"-{number}"
        free = f"{name[: _LONGEST - len(end)]}{end}"
        number += 1
    return free


def identifier(name: str, used: set[str]) -> str:
    """Return a name for a variable of Python, and note it in `used`."""
    plain = re.sub(r"\W+", "_", name.lower()).strip("_") or "value"
    plain = plain if not plain[0].isdigit() else f"v_{plain}"
    if plain in _TAKEN:
        plain += "_"
    number, free = 2, plain
    while free in used:
        free = f"{plain}_{number}"
        number += 1
    used.add(free)
    return free
