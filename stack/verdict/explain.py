"""Word a failure as an error: what happened, the last log lines, their cause, and what to type next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stack.causes import recognise
from stack.engines.base import Engine
from stack.engines.process import Job
from stack.errors import StackError
from stack.model import Stack
from stack.observed import Observed
from stack.verdict.judge import Failure, brief, deepest_first, is_well, role_of, sick
from stack.verdict.probe import Answer

# What is shown of a log; and what is searched, for between two attempts there may be more.
_LOG_LINES = 12
_LOG_SEARCHED = 40
_LEFT = "what runs was left as it is, and no data was touched"
ReadLog = Callable[[str, int], Sequence[str]]
"""Read the last lines of a component's log, so many at most, as far as they are of this run."""

_LONGER = ", or give it longer with `stackctl up --timeout SECONDS`"


def failed(stack: Stack, read: ReadLog, failure: Failure, said: str = "") -> StackError:
    hint = f"read its whole log with `stackctl logs {failure.component}`, mend the cause and run `stackctl up` again"
    return _explained(stack, read, failure, said, f"{hint}; {_LEFT}")


def _explained(stack: Stack | None, read: ReadLog, failure: Failure, said: str, hint: str) -> StackError:
    """A failure with the last lines of its component, and the cause that these tell of, or `said`."""
    name = failure.component
    role = role_of(stack, name)
    lines = read(name, _LOG_SEARCHED)
    log, longer = "\n".join(lines[-_LOG_LINES:]), "\n".join(lines)
    cause = recognise(name, said, role) or recognise(name, f"{failure.problem}\n{log}", role)
    if cause is None and (cause := recognise(name, longer, role)):
        log = longer
    if cause is None or failure.code == "out-of-memory":
        return StackError(failure.code, failure.problem, hint, log)
    hint = f"{cause.hint}; `stackctl logs {name}` shows more; {_LEFT}"
    return StackError(cause.code, f"{cause.message} ({failure.problem})", hint, log)


def refusal(engine: Engine, observed: Observed, job: Job) -> StackError | None:
    """What the engine says of a job that failed; None where it only gave up on a component that is not well."""
    error = engine.explain(job)
    if error.code not in ("docker-failed", "supervisord-failed"):
        return error
    if cause := recognise("a component", error.output):
        return StackError(cause.code, f"{cause.message} ({error.message})", f"{cause.hint}; {_LEFT}", error.output)
    return None if sick(observed) else error


def given_up(stack: Stack, read: ReadLog, observed: Observed) -> StackError:
    culprit = deepest_first(stack, sick(observed))[0]
    state = observed.components[culprit]
    problem = f"{culprit} is {state.summary}, and others wait for it"
    if state.health_output:
        problem += f"; its health check said: {brief(state.health_output)}"
    code = "unhealthy" if state.running else "component-exited"
    return failed(stack, read, Failure(culprit, code, problem), state.health_output)


def too_late(
    stack: Stack | None, read: ReadLog, observed: Observed, answers: Mapping[str, Answer], timeout: float
) -> StackError:
    """The culprit is the deepest that is not well, for that is what others wait for."""
    there = observed.components
    names = list(there) if stack is None else deepest_first(stack, stack.names)
    states = ", ".join(f"{name} {there[name].summary if name in there else 'absent'}" for name in names)
    unanswered = {name: answers[name].detail for name in names if name in answers and not answers[name].ok}
    unwell = [name for name in names if name not in there or not is_well(there[name])]
    late = "; ".join([f"not ready after {timeout:g} s: {states or 'nothing runs'}", *unanswered.values()])
    culprit = next(iter([*unwell, *unanswered]), None)
    hint = f"look at `stackctl logs {culprit or ''}`".rstrip() + _LONGER
    if culprit is None:
        return StackError("not-ready", late, hint)
    said = there[culprit].health_output if culprit in there else ""
    if culprit in unwell and said:
        late += f"; the health check of {culprit} said: {brief(said)}"
    return _explained(stack, read, Failure(culprit, "not-ready", late), "\n".join([said, *unanswered.values()]), hint)
