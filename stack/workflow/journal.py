"""Keep the last-applied state of an instance through one command: read it once, and save each next value."""

from __future__ import annotations

from stack.applied import Applied
from stack.errors import StackError
from stack.state import State


class Journal:
    """The last-applied state, in memory as in its file: also after a step that failed halfway.

    Make it under the lock of the instance, once for a command.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._applied = state.applied()

    @property
    def applied(self) -> Applied:
        return self._applied

    def save(self, applied: Applied) -> None:
        """Write the next value. Raises `StackError` (`state-unusable`), and keeps the one before then."""
        self._state.save_applied(applied)
        self._applied = applied

    def try_save(self, applied: Applied) -> str:
        """Save it for a command that works even if its folder can't be written; return what that means, or nothing."""
        try:
            self.save(applied)
        except StackError as error:
            return f"this can't be remembered ({error.message}): the next `plan` takes it for done by hand"
        return ""
