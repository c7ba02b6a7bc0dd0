"""Watch a job until it ends; one that fails, or does not end, is told with its last lines and their cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from stack.engines.base import Engine
from stack.engines.process import Job
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState
from stack.progress import Progress
from stack.verdict.explain import failed
from stack.verdict.judge import Failure, failure_of
from stack.verdict.watch import Clock, SystemClock

_INTERVAL = 0.1
# One that the engine has started is there, or has ended, after so many seconds.
_THERE_AFTER = 10.0
_LOG_LINES = 12


def await_done(
    instance: Instance,
    engine: Engine,
    job: Job,
    name: str,
    limit: float,
    progress: Progress,
    clock: Clock | None = None,
) -> ComponentState:
    """Watch a component that `job` starts until it has ended with 0; return its state then.

    Raises `StackError` if it failed, and `job-timeout` if it runs for longer than `limit` seconds: then it is stopped.
    """
    clock, began_at = clock or SystemClock(), datetime.now(UTC)
    state: ComponentState | None = None

    def read(name: str, count: int) -> Sequence[str]:
        since = state.since if state is not None else None
        return engine.log_lines(name, count, min(since or began_at, began_at))

    running = started = None
    while True:
        exit_code = job.wait(_INTERVAL)
        state = engine.observe().components.get(name)
        if state is not None and state.state in ("exited", "dead"):
            failure = failure_of(name, state)
            if failure is None:
                return state
            raise failed(instance.stack, read, failure)
        if exit_code:
            raise job.explain()
        if state is not None and state.running:
            running = clock.now() if running is None else running
            progress.states({name: state.summary})
            if clock.now() - running >= limit:
                engine.stop([name])
                raise _too_long(name, limit, read(name, _LOG_LINES))
        elif exit_code == 0:
            started = clock.now() if started is None else started
            if clock.now() - started >= _THERE_AFTER:
                raise failed(instance.stack, read, Failure(name, "job-failed", f"{name} was started, and is gone"))
        if exit_code is not None:
            clock.wait(_INTERVAL)


def _too_long(name: str, limit: float, lines: Sequence[str]) -> StackError:
    return StackError(
        "job-timeout",
        f"the job {name} did not end within {limit:g} s, and was stopped",
        f"look what it waits for with `stackctl logs {name}`, or give it longer with `timeout=` in the stack file",
        "\n".join(lines),
    )
