"""`stackctl prune`: remove what no instance needs, after saying what that is. It never touches one that is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from stack.engines.fleets import FLEETS
from stack.errors import StackError
from stack.frozen import dataclass
from stack.progress import Progress
from stack.registry import Registry, is_gone
from stack.report import Report
from stack.results.machine import ForeignInstance, OrphanedInstance, PruneResult, Removable
from stack.settings import Settings
from stack.state import State
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
        return () if self.data or member.found is None else member.found.resources.volumes


def prune(
    settings: Settings, progress: Progress, confirm: Confirm, data: bool = False, dry_run: bool = False
) -> Report[PruneResult]:
    """Remove what is left of instances whose state folder is gone; their data only with `data`."""
    gathered = gather(settings)
    pruning = choose(gathered, _untagged(gathered, settings), settings.instance, data)
    text = announcement(pruning, gathered, settings.engine)
    if dry_run or not pruning:
        said = text if pruning else "\n".join(["there is nothing to remove", *text.splitlines()])
        return Report("prune", said, _result(pruning, removed=False))
    if not confirm(text):
        raise StackError("cancelled", "nothing was removed", "answer y, or say --yes, to remove it")
    skipped = tuple(member for member in pruning.orphans if not _remove(member, pruning, settings, progress))
    pruning = replace(pruning, orphans=tuple(member for member in pruning.orphans if member not in skipped))
    for engine in {engine for engine, _ in pruning.images}:
        FLEETS[engine].remove_images([image for its, image in pruning.images if its == engine])
    kept = [volume for member in pruning.orphans for volume in pruning.keeps(member)]
    done = "removed" + (f"; data is kept ({', '.join(kept)})" if kept else "")
    done += f"; kept, because it is there again: {', '.join(each.instance for each in skipped)}" if skipped else ""
    return Report("prune", done, _result(pruning, removed=True, skipped=skipped))


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


def _remove(member: Member, pruning: Pruning, settings: Settings, progress: Progress) -> bool:
    """Remove what is left of an instance, under its lock; unless it is there again: then give False."""
    if not pruning.removes(member):
        return True
    if not member.orphaned:
        return False
    with ExitStack() as stack:
        for state in sorted(member.states):
            stack.enter_context(_locked(state, progress))
        if any(State(state).exists() for state in member.states) or _grew(member, settings):
            return False
        progress.step(f"{member.instance}: removing what is left")
        if member.found is not None:
            FLEETS[member.engine].remove(member.found, pruning.data)
        if not pruning.keeps(member):
            Registry(settings.registry).remove(member.project)
    return True


@contextmanager
def _locked(state: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of an instance whose folder is gone, and leave none of the folders that this makes.

    If they can't be made, because a disk is not mounted or the rights changed, no command brings it back either.
    """
    made = [folder for folder in state.parents if is_gone(folder)]
    with ExitStack() as stack:
        try:
            stack.enter_context(State(state).locked(progress))
        except StackError as error:
            if error.code not in ("state-unusable", "disk-full"):
                raise
        yield
    for folder in made:
        # Another command may have begun in it.
        with suppress(OSError):
            folder.rmdir()


def _grew(member: Member, settings: Settings) -> bool:
    """Whether there is data now that was not announced: of an instance that was made, and lost, in between."""
    found = [each.found for each in gather(settings).members if (each.engine, each.project) == member.key]
    now = {volume for each in found if each is not None for volume in each.resources.volumes}
    return not now.issubset(member.found.resources.volumes if member.found else ())


def announcement(pruning: Pruning, gathered: Gathered, engine: str | None = None) -> str:
    lines = ["This removes what no instance needs:"] if pruning else []
    for member in filter(pruning.removes, pruning.orphans):
        lines.append(f"  {member.instance} on {member.engine}, whose state {member.states[0]} is gone:")
        parts = _parts(member, pruning.data)
        lines += [f"    {'DATA' if kind == 'data' else kind}: {', '.join(names)}" for kind, names in parts.items()]
        if not parts:
            lines.append("    entry: in the list of instances")
    if pruning.images:
        lines.append(f"  images without a name: {', '.join(image[:19] for _, image in pruning.images)}")
    for member in pruning.orphans:
        if kept := pruning.keeps(member):
            lines.append(f"Kept, because it is DATA of {member.instance}: {', '.join(kept)}; --data removes it too")
    for member in pruning.foreign:
        where = f"{member.instance} on {member.engine} ({member.states[0]})"
        fix = f"`stackctl --instance {member.instance} prune` removes it"
        lines.append(f"Kept, because it was not made from here: {where}; {fix}")
    lines += gathered.silent_lines(engine)
    return "\n".join(lines)


def _parts(member: Member, data: bool) -> dict[Removable, tuple[str, ...]]:
    if member.found is None:
        return {}
    left = member.found.resources
    parts: dict[Removable, tuple[str, ...]] = {
        "containers": left.containers,
        "networks": left.networks,
        "images": left.images,
        "data": left.volumes if data else (),
    }
    return {kind: names for kind, names in parts.items() if names}


def _result(pruning: Pruning, removed: bool, skipped: Sequence[Member] = ()) -> PruneResult:
    return PruneResult(
        removed=removed,
        orphans=tuple(
            OrphanedInstance(
                instance=member.instance,
                engine=member.engine,
                state_folders=member.states,
                removes=_parts(member, pruning.data),
                keeps=pruning.keeps(member),
            )
            for member in pruning.orphans
        ),
        there_again=tuple(member.instance for member in skipped),
        images=tuple(image for _, image in pruning.images),
        foreign=tuple(ForeignInstance(member.instance, member.engine, member.states) for member in pruning.foreign),
    )
