"""What `move` reports."""

from __future__ import annotations

from stack.frozen import dataclass
from stack.results.lifecycle import UpResult


@dataclass(frozen=True)
class MovePlanned:
    """What `move --dry-run` would do.

    `instance`: the name of the instance.
    `was`: where it is: an engine of this machine, or a server, such as `ssh://deploy@shop.example.com`.
    `now`: where it would be.
    """

    instance: str
    was: str
    now: str


@dataclass(frozen=True)
class MoveResult:
    """An instance that is on another engine or machine.

    `instance`: its name.
    `was`: where it was, and where its data of then is kept: an engine of this machine, or a server, such as \
`ssh://deploy@shop.example.com`.
    `now`: where it is.
    `downtime`: the seconds from its stop until it was up again.
    `rows`: how many rows were taken along and compared.
    `files`: how many files of volumes were.
    `notices`: warnings, as text for people.
    `up`: what `up` reports of the instance where it is now.
    """

    instance: str
    was: str
    now: str
    downtime: float
    rows: int
    files: int
    notices: tuple[str, ...]
    up: UpResult


@dataclass(frozen=True)
class MoveDeleted:
    """What an instance had at another place, and was deleted.

    `instance`: its name.
    `place`: where that was.
    `volumes`: the volumes that were deleted.
    """

    instance: str
    place: str
    volumes: tuple[str, ...]
