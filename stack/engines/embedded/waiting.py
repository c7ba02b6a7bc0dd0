"""Wait for a condition that nothing announces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_INTERVAL = 0.02


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait until `condition` holds, for `timeout` seconds at most. Return whether it holds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(_INTERVAL)
    return True
