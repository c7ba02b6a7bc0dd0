"""What was made by the last `up`, field by field, and what it was made of. Values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stack.fields import Fields

Wanted = Literal["up", "stopped", "down"]


@dataclass(frozen=True)
class FileState:
    """A file as it was: size in bytes, time of its last change in nanoseconds, mode, SHA-256 of what it holds."""

    size: int
    changed: int
    mode: int
    digest: str


Files = Mapping[str, FileState]
"""By path, relative to a folder, with `/`."""


@dataclass(frozen=True)
class Applied:
    """Nothing of it is needed to run: without it a plan can only say less of why.

    `fields`: those behind each fingerprint in use. `sources`: the files that each component was last made from.
    `secrets`: a digest of each. `data`: with which names and password each data store was made, by component.
    `migrations`: the checksums of those that each database has had, by their names. `extensions`: those that were made.
    `separated`: the data stores whose declared user is known to be no superuser.
    `wanted`: the state in which a command left the instance. `components`: those that there were then. `kept`: the
    data stores that nothing uses and `undo` may need, each with the moment of the snapshot that was made of it (`made`)
    and a digest of its `password`.
    """

    wanted: Wanted | None = None
    components: Sequence[str] = ()
    fields: Mapping[str, Fields] = field(default_factory=dict)
    sources: Mapping[str, Files] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Fields] = field(default_factory=dict)
    migrations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kept: Mapping[str, Fields] = field(default_factory=dict)
    extensions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    separated: Sequence[str] = ()


def changed_files(before: Files, now: Files) -> list[str]:
    """The paths that are new, gone, or hold something else."""
    return [path for path in sorted({*before, *now}) if _essence(before.get(path)) != _essence(now.get(path))]


def _essence(state: FileState | None) -> tuple[int, str] | None:
    return None if state is None else (state.mode, state.digest)
