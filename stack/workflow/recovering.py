"""Find out which data an instance uses after its state was lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stack.engines.base import Engine
from stack.errors import StackError
from stack.instance import generation_of
from stack.workload import VolumeId


def find_generations(engine: Engine, instance: str) -> Mapping[VolumeId, int]:
    """Return the number of each volume in use that is not its first revision, for an instance without a record.

    `engine` is that of the instance as it would be if all were the first. Raises `state-lost` if several revisions
    exist and none is in use: to choose one could serve old data, and later delete the data of now as if it were spare.
    """
    existing, firsts = engine.volumes.existing(), engine.volumes.declared()
    revisions = {volume: _revisions(first, existing) for volume, first in firsts.items()}
    if all(names in ([], [firsts[volume]]) for volume, names in revisions.items()):
        return {}
    used = engine.observe().mounted
    return {volume: generation_of(_in_use(names, used, instance)) for volume, names in revisions.items() if names}


def _revisions(first: str, existing: Collection[str]) -> list[str]:
    return [name for name in existing if name == first or name.startswith(f"{first}.")]


def _in_use(names: list[str], used: Collection[str], instance: str) -> str:
    chosen = [name for name in names if name in used] or names
    if len(chosen) == 1:
        return chosen[0]
    raise StackError(
        "state-lost",
        f"the state of {instance} was lost, and its data exists in several revisions: {', '.join(sorted(names))}; "
        "which one it used is unknown, so nothing was changed",
        "keep the one with your data, delete the others, and run this again; or `stackctl reset --no-snapshot` "
        "deletes all of them",
    )
