"""How the data of a component is kept on another machine too, by a standby that follows it."""

from __future__ import annotations

from typing import Literal, Protocol

from stack.capabilities import Session
from stack.frozen import dataclass
from stack.references import SecretReference

StandbyState = Literal["absent", "catching-up", "streaming"]
"""Whether a standby follows, and has all that there is; it is absent too while it is filled."""


@dataclass(frozen=True)
class Following:
    """How a standby follows, as its primary sees it.

    `protected`: nothing is acknowledged that the standby does not have. `behind`: the bytes that it has not on its disk
    yet, and `seconds` how long ago the last of what it shows was written; None if it is absent. `waiting`: the
    sessions that wait for it. `armed`: the primary acknowledges nothing without a standby, whether there is one or not.
    """

    state: StandbyState
    protected: bool
    behind: int | None = None
    seconds: float | None = None
    waiting: int = 0
    armed: bool = False

    @property
    def stuck(self) -> bool:
        """Whether the primary acknowledges nothing: the copy that it waits for is gone, if also another follows."""
        return self.armed and not self.protected


class Replication(Protocol):
    """Keep a standby of a component, and let it take the place of that."""

    @property
    def standby(self) -> str:
        """The name of the component that is the standby."""

    @property
    def synchronous(self) -> bool:
        """Whether nothing is to be acknowledged before the standby has it too."""

    @property
    def secret(self) -> SecretReference:
        """The password with which the standby logs in; both servers take another one when they start with it."""

    def protect(self, primary: Session, standby: Session, within: float) -> None:
        """Acknowledge nothing from now on that the standby does not have. Raises `standby-late`."""

    def following(self, primary: Session) -> Following:
        """Ask a primary how its standby follows. Raises `query-failed`."""

    def holds_all(self, standby: Session) -> bool:
        """Say whether a standby is known to have all that was acknowledged."""

    def promote(self, standby: Session) -> None:
        """Let a standby accept writes, unless it does already. Raises `not-promoted`."""
