"""What the commands report that write to their own streams."""

from __future__ import annotations

from stack.frozen import dataclass


@dataclass(frozen=True)
class Nothing:
    """No data: everything went to the streams of the command."""
