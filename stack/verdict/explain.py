"""Word a failure as an error: what happened, the last log lines, their cause, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from stack.causes import recognise
from stack.engines.base import Engine
from stack.engines.process import Job
from stack.errors import StackError
from stack.model import Stack
from stack.observed import Observed
from stack.verdict.judge import Answer, Failure, Misplaced, brief, called, deepest_first, is_well, role_of, unhealthy

# What is shown of a log; and what is searched, for between two attempts there may be more.
_LOG_LINES = 12
_LOG_SEARCHED = 40
_LEFT = "no data was touched"
# What to do about a failure of which the log may tell no more.
_HINTS = {
    "server-ended": "let it run in the foreground: a server that goes into the background ends for its supervisor",
    "out-of-memory": "give it more with `memory=`; what it writes to /tmp counts too",
}
# In a trace of JavaScript or Java the error stands above its frames; Node.js writes its properties below them.
_FRAME = re.compile(r"\s+at ")
_BELOW_ERROR = re.compile(r"\s|}|$")
ReadLog = Callable[[str, int], Sequence[str]]
"""Read the last lines of a component's log, so many at most, as far as they are of this run."""

_LONGER = ", or give it longer with `stackctl up --timeout SECONDS`"


def failed(stack: Stack, read: ReadLog, failure: Failure, said: str = "") -> StackError:
    log = f"read its whole log with `stackctl logs {failure.component}`"
    first = failure.hint or _HINTS.get(failure.code, "")
    hint = f"{first}; {log}" if first else f"{log}, fix the cause and run `stackctl up` again"
    return _explained(stack, read, failure, said, hint + _left(stack, failure.component))


def _explained(stack: Stack | None, read: ReadLog, failure: Failure, said: str, hint: str) -> StackError:
    """A failure with the last lines of its component, and the cause that these tell of, or `said`."""
    name = failure.component
    role = role_of(stack, name)
    lines = read(name, _LOG_SEARCHED)
    log, longer = "\n".join(_last(lines)), "\n".join(lines)
    cause = recognise(name, said, role) or recognise(name, f"{failure.problem}\n{log}", role)
    if cause is None and (cause := recognise(name, longer, role)):
        log = longer
    if cause is None or failure.code == "out-of-memory" or failure.hint:
        return _of(name, StackError(failure.code, failure.problem, hint, log))
    hint = f"{cause.hint}; `stackctl logs {name}` shows more{_left(stack, name)}"
    return _of(name, StackError(cause.code, f"{cause.message}; {failure.problem}", hint, log))


def _of(name: str, error: StackError) -> StackError:
    error.component = name
    return error


def _left(stack: Stack | None, name: str) -> str:
    """Say that no data was touched, unless a job failed: what that did before is not known."""
    return "" if stack is not None and name in stack.jobs else f"; {_LEFT}"


def _last(lines: Sequence[str]) -> list[str]:
    """Return the last lines of a log. If they begin inside a stack trace, its error takes the place of the first."""
    last = list(lines[-_LOG_LINES:])
    start = len(lines) - len(last)
    error = max((at for at, line in enumerate(lines[: start + 1]) if not _BELOW_ERROR.match(line)), default=start)
    if error < start and _FRAME.match(lines[error + 1]):
        last[0] = lines[error]
    return last


def not_done(stack: Stack, names: Sequence[str]) -> StackError:
    """Return the error for jobs that were never done, of an instance that something else than `up` started."""
    waiting = [name for name in stack.names if set(stack.order.awaits(name)) & set(names)]
    for_whom = f", and {' and '.join(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for that" if waiting else ""
    verb = "has" if len(names) == 1 else "have"
    return StackError("job-pending", f"{' and '.join(names)} {verb} not been done{for_whom}", "run `stackctl up`")


def refusal(engine: Engine, observed: Observed, job: Job) -> StackError | None:
    """What the engine says of a job that failed; None where it only gave up on a component that is not well."""
    error = job.explain()
    if error.code != engine.traits.unspecific:
        return error
    if cause := recognise("a component", error.output):
        return StackError(cause.code, f"{cause.message} ({error.message})", f"{cause.hint}; {_LEFT}", error.output)
    return None if unhealthy(observed) else error


def given_up(stack: Stack, read: ReadLog, observed: Observed) -> StackError:
    culprit = deepest_first(stack, unhealthy(observed))[0]
    state = observed.components[culprit]
    problem = f"{called(culprit, state)} is {state.summary}, and others wait for it"
    if state.health_output:
        problem += f"; its health check said: {brief(state.health_output)}"
    code = "unhealthy" if state.running else "component-exited"
    return failed(stack, read, Failure(culprit, code, problem), state.health_output)


def too_late(
    stack: Stack | None,
    read: ReadLog,
    observed: Observed,
    answers: Mapping[str, Answer],
    found: Mapping[str, Misplaced],
    timeout: float,
    only: Collection[str] | None = None,
) -> StackError:
    """The culprit is the deepest that is not healthy, for others wait for that. `only`: those that are looked at."""
    there = observed.components
    names = list(there) if stack is None else deepest_first(stack, stack.names if only is None else only)
    states = ", ".join(f"{name} {there[name].summary if name in there else 'absent'}" for name in names)
    late = [f"not ready after {timeout:g} s: {states or 'nothing runs'}"]
    late += [found[name].problem for name in names if name in found]
    unanswered = {name: answers[name].detail for name in names if name in answers and not answers[name].ok}
    late += [detail for detail in unanswered.values() if detail]
    late += [f"{name}: {brief(there[name].reason)}" for name in names if name in there and there[name].reason]
    culprit = next((name for name in names if name not in there or not is_well(there[name])), None)
    if culprit is None:
        return StackError("not-ready", "; ".join(late), f"look at `stackctl logs`{_LONGER}")
    said = there[culprit].health_output if culprit in there else ""
    if said and not unanswered.get(culprit):
        late.append(f"the health check of {called(culprit, there[culprit])} said: {brief(said)}")
    hint = f"look at `stackctl logs {culprit}`{_LONGER}"
    if culprit in found:
        hint = f"{found[culprit].hint}; {hint}"
    failure = Failure(culprit, "not-ready", "; ".join(late))
    return _explained(stack, read, failure, "\n".join([said, *unanswered.values()]), hint)
