"""Wait for what a job brings about, while it goes on and after it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stack.engines.process import Job
from stack.errors import StackError

_INTERVAL = 0.25


def await_beside(job: Job, is_missing: Callable[[], bool], timeout: float, late: Callable[[], StackError]) -> None:
    """Wait until nothing is missing. Raises why the job failed if it did, or `late` after `timeout` seconds."""
    deadline, pause = time.monotonic() + timeout, threading.Event()
    while is_missing():
        if exit_code := job.wait(_INTERVAL):
            raise job.explain()
        if time.monotonic() > deadline:
            raise late()
        if exit_code is not None:
            # A job that has ended is not waited for.
            pause.wait(_INTERVAL)
