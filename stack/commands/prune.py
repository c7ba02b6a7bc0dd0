"""`stackctl prune`: remove what no instance needs, after saying what that is. It never touches one that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stack.engines import FLEETS
from stack.errors import StackError
from stack.progress import Progress
from stack.registry import Registry
from stack.report import Report
from stack.settings import Settings
from stack.workflow.confirming import Confirm
from stack.workflow.fleet import Gathered, Member, gather


@dataclass(frozen=True)
class Pruning:
    """What is to be removed. `foreign`: left of instances that this user did not make on this machine, and kept.

    A daemon, or a folder of another machine that is mounted in a container, is seen from several places: the state
    of an instance that was made elsewhere may well be there.
    """

    orphans: tuple[Member, ...]
    foreign: tuple[Member, ...]
    images: tuple[tuple[str, str], ...]
    data: bool

    def __bool__(self) -> bool:
        return bool(self.images) or any(self.removes(member) for member in self.orphans)

    def removes(self, member: Member) -> bool:
        """Whether there is anything of it to remove, were it only its entry."""
        return bool(_parts(member, self.data)) or not self.keeps(member)

    def keeps(self, member: Member) -> tuple[str, ...]:
        """Its data, which stays."""
        return () if self.data or member.found is None else member.found.leftovers.volumes


def prune(
    settings: Settings, progress: Progress, confirm: Confirm, data: bool = False, dry_run: bool = False
) -> Report:
    """Remove what is left of instances whose state folder is gone; their data only with `data`."""
    gathered = gather(settings)
    pruning = choose(gathered, _untagged(gathered, settings), settings.instance, data)
    text = announcement(pruning, gathered)
    if dry_run or not pruning:
        said = text if pruning else "\n".join(["there is nothing to remove", *text.splitlines()])
        return Report("prune", said, _data(pruning, removed=False))
    if not confirm(text):
        raise StackError("cancelled", "nothing was removed", "answer y, or say --yes, to remove it")
    for member in pruning.orphans:
        if pruning.removes(member) and member.orphaned:
            progress.step(f"{member.instance}: removing what is left")
            _remove(member, pruning, settings)
    for engine in {engine for engine, _ in pruning.images}:
        FLEETS[engine].remove_images([image for its, image in pruning.images if its == engine])
    kept = [volume for member in pruning.orphans for volume in pruning.keeps(member)]
    done = "removed" + (f"; data is kept ({', '.join(kept)})" if kept else "")
    return Report("prune", done, _data(pruning, removed=True))


def choose(gathered: Gathered, images: tuple[tuple[str, str], ...], named: str | None, data: bool) -> Pruning:
    """Only what was made from here, or what is named, is removed: `named` is the instance that was asked for."""
    orphans = [member for member in gathered.members if member.orphaned and member.asked]
    ours = [member for member in orphans if member.entry is not None or named is not None]
    return Pruning(tuple(ours), tuple(member for member in orphans if member not in ours), images, data)


def _untagged(gathered: Gathered, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Each with its engine."""
    asked = [name for name in FLEETS if name not in gathered.silent and settings.engine in (None, name)]
    return tuple(
        (name, image)
        for name in asked
        for image, instance in FLEETS[name].untagged().items()
        if settings.instance in (None, instance)
    )


def _remove(member: Member, pruning: Pruning, settings: Settings) -> None:
    if member.found is not None:
        FLEETS[member.engine].remove(member.found, pruning.data)
    if not pruning.keeps(member):
        Registry(settings.registry).remove(member.project)


def announcement(pruning: Pruning, gathered: Gathered) -> str:
    lines = ["This removes what no instance needs:"] if pruning else []
    for member in filter(pruning.removes, pruning.orphans):
        lines.append(f"  {member.instance} on {member.engine}, whose state {member.states[0]} is gone:")
        parts = _parts(member, pruning.data) or {"entry": ["in the list of instances"]}
        lines += [f"    {kind}: {', '.join(names)}" for kind, names in parts.items()]
    if pruning.images:
        lines.append(f"  images without a name: {', '.join(image[:19] for _, image in pruning.images)}")
    for member in pruning.orphans:
        if kept := pruning.keeps(member):
            lines.append(f"Kept, because it is DATA of {member.instance}: {', '.join(kept)}; --data removes it too")
    for member in pruning.foreign:
        where = f"{member.instance} on {member.engine} ({member.states[0]})"
        cure = f"`stackctl --instance {member.instance} prune` removes it"
        lines.append(f"Kept, because it was not made from here: {where}; {cure}")
    lines += [f"{name} can't be asked: {error.message}" for name, error in gathered.silent.items()]
    return "\n".join(lines)


def _parts(member: Member, data: bool) -> dict[str, list[str]]:
    if member.found is None:
        return {}
    left = member.found.leftovers
    parts = {
        "containers": left.containers,
        "networks": left.networks,
        "images": left.images,
        "DATA": left.volumes if data else (),
    }
    return {kind: list(names) for kind, names in parts.items() if names}


def _data(pruning: Pruning, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "orphans": [
            {
                "instance": member.instance,
                "engine": member.engine,
                "state_folders": list(map(str, member.states)),
                "removes": {kind.lower(): names for kind, names in _parts(member, pruning.data).items()},
                "keeps": list(pruning.keeps(member)),
            }
            for member in pruning.orphans
        ],
        "images": [image for _, image in pruning.images],
        "foreign": [
            {"instance": member.instance, "engine": member.engine, "state_folders": list(map(str, member.states))}
            for member in pruning.foreign
        ],
    }
