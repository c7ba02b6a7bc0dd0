"""Remember which processes were found ready: one of them that gives no answer later does not start, it is unhealthy."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from stack.observed import Observed
from stack.state import State
from stack.verdict.judge import identity

_READY = "ready.json"


def remember_ready(state: State, observed: Observed, only: Collection[str] = ()) -> None:
    """Note the processes that were found ready now. `only`: nothing was looked at but these components."""
    before = found_ready(state.folder)
    ready = {name: identity(component) for name, component in observed.components.items()}
    if only:
        ready = {**before, **{name: process for name, process in ready.items() if name in only}}
    if ready != before:
        state.write(_READY, json.dumps(ready) + "\n")


def found_ready(folder: Path) -> Mapping[str, str]:
    """The process of each component that was found ready last; what can't be read is as good as not there."""
    try:
        return {str(name): str(process) for name, process in json.loads((folder / _READY).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
