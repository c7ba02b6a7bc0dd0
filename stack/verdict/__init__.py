"""The judgement at the end of `up`: ready, or the failure with its cause.

Ready means: every job is done, every other component runs, its health was found since it started, none changed between
two looks some time apart, each database accepted the declared password, and each published component answered a real
request, sent as a user would send it, and complained of nothing that it uses.

`probe` sends the requests, `judge` decides and does nothing else, `explain` words the errors, `watch` looks until it is
decided; `health` is the same judgement of each component for a command that looks once. `jobs` watches what ends, and
`done` tells which of it is done.
"""

from stack.verdict.health import observe
from stack.verdict.jobs import await_done
from stack.verdict.judge import Answer, Failure, judge
from stack.verdict.probe import Probe, complaints, http_probe
from stack.verdict.ready import remember_ready
from stack.verdict.watch import Clock, SystemClock, Verdict, await_ready, await_verified, await_well

__all__ = [
    "Answer",
    "Clock",
    "Failure",
    "Probe",
    "SystemClock",
    "Verdict",
    "await_done",
    "await_ready",
    "await_verified",
    "await_well",
    "complaints",
    "http_probe",
    "judge",
    "observe",
    "remember_ready",
]
