"""Say what was started again meanwhile, and stop what would go on so for ever after a command that failed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from stack.engines.base import Engine
from stack.errors import StackError
from stack.observed import Observed
from stack.report import times
from stack.verdict.judge import loops, restarted
from stack.verdict.watch import CERTAIN_IN_LOG

# One that is just between an end and a start may be missed by the engine.
_ATTEMPTS = 3


def stop_loops(engine: Engine, before: Observed, error: StackError) -> StackError:
    """Stop the components that were started again since `before` and are down again; the error then says which.

    The culprit of an error that no waiting mends ends again if it ended once.
    """
    stopped: set[str] = set()
    with contextlib.suppress(StackError):
        for _ in range(_ATTEMPTS):
            observed = engine.observe()
            running = {name for name, state in observed.components.items() if state.running}
            culprits = {error.component} & restarted(before, observed).keys() & running
            if not (looping := loops(before, observed) | (culprits if error.code in CERTAIN_IN_LOG else set())):
                break
            engine.stop(looping)
            stopped |= looping
    if not stopped:
        return error
    names = " and ".join(sorted(stopped))
    return error.hinting(
        f"{error.hint}; {names} {'was' if len(stopped) == 1 else 'were'} stopped so as not to restart for ever"
    )


def restart_lines(restarted: Mapping[str, int]) -> list[str]:
    """Say, for people, what is up and may still be unhealthy."""
    return [
        f"warning: {name} ended and was started again {times(count)} meanwhile; `stackctl logs {name}` shows why"
        for name, count in restarted.items()
    ]
