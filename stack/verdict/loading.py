"""Find what still loads its code, and may end with an error in it.

A health check or an answer tells when that is done. What has neither is loading while it keeps a processor busy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from stack.engines.base import Engine
from stack.frozen import dataclass
from stack.observed import ComponentState, Observed
from stack.verdict.judge import age, identity

# What takes or waits for a processor for more than this share of the time, in so many seconds at least, is loading.
_MUCH, _WINDOW = 0.3, 0.2
# So many seconds after its start it has loaded: what has nothing but work to do takes as much.
_LOADS_WITHIN = 5.0


@dataclass(frozen=True)
class _Load:
    """For how long a process had kept a processor busy at a moment, and whether it was loading until then."""

    at: float
    seconds: float
    loading: bool


class Loading:
    """Measure what is new at each look; `now` gives seconds that never go back."""

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        self._loads: dict[str, _Load] = {}

    def found(self, new: Observed, asked: Collection[str] = ()) -> bool:
        """Say whether any of these has been loading since the last look; at the first it is not known yet.

        `asked`: the components that are sent a request, and have loaded once they answer.
        """
        states = [state for name, state in new.components.items() if name not in asked]
        return True in {self._is_loading(each) for state in states for each in state.each}

    def _is_loading(self, replica: ComponentState) -> bool:
        if not replica.running or replica.health != "none" or age(replica, datetime.now(UTC)) >= _LOADS_WITHIN:
            return False
        if self._engine.prepares(replica):
            return True
        started, now = identity(replica), self._now()
        before = self._loads.get(started)
        if before is not None and now - before.at < _WINDOW:
            return before.loading
        seconds = self._engine.processor_demand(replica)
        if seconds is None:
            return False
        loading = before is None or seconds - before.seconds > _MUCH * (now - before.at)
        self._loads[started] = _Load(now, seconds, loading)
        return loading
