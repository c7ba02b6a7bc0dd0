"""What `init` reports."""

from __future__ import annotations

from pathlib import Path

from stack.frozen import dataclass


@dataclass(frozen=True)
class ImportedKey:
    """What became of a key of a Compose project.

    `service`: the service that it belongs to; empty for a key of the whole project.
    `key`: the key, with what it names: `environment.DEBUG`.
    `reason`: what became of it, and why.
    """

    service: str
    key: str
    reason: str


@dataclass(frozen=True)
class Verified:
    """What `init --verify` compared: what the stack file renders to with what Compose reads.

    `compared`: how many fields were compared.
    `differences`: what differs, and is not in `lost`.
    `by_kind`: what differs because a kind of component does it in its own way.
    """

    compared: int
    differences: tuple[ImportedKey, ...]
    by_kind: tuple[ImportedKey, ...]


@dataclass(frozen=True)
class InitResult:
    """What `init --from` made of a Compose project.

    `file`: the stack file that was written.
    `kept`: what the stack file says too.
    `engine`: what stackctl does by itself.
    `decided`: what it says in another way, as a comment in it or this list tells.
    `lost`: what it can't say.
    `verified`: what `--verify` found; null without it.
    """

    file: Path
    kept: tuple[ImportedKey, ...]
    engine: tuple[ImportedKey, ...]
    decided: tuple[ImportedKey, ...]
    lost: tuple[ImportedKey, ...]
    verified: Verified | None


@dataclass(frozen=True)
class NewProject:
    """What `init` wrote without a Compose file.

    `file`: the stack file.
    `written`: the other files that were written or changed.
    `notes`: what is left to do, as text for people.
    `commands`: what to type next.
    """

    file: Path
    written: tuple[Path, ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]
