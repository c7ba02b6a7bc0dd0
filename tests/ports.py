"""Ports for servers of tests: no two workers choose the same, and no engine chooses one of them for itself.

A port that is free when it is chosen, and taken when its server starts, fails a test.
"""

from __future__ import annotations

import os
import random
import socket

from stack.ports import is_free

# Below those of `stack.ports.any_free`.
_FIRST, _EACH, _WORKERS = 10000, 1250, 8
_given: set[int] = set()


def own_port() -> int:
    """One that is free, and that nobody else in this run gets."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    start = _FIRST + worker * _EACH
    while True:
        port = random.randrange(start, start + _EACH)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def outer_address() -> str:
    """Return the address of this machine at which others reach it. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("198.51.100.1", 9))
        return str(route.getsockname()[0])
