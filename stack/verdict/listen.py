"""Watch where the apps listen that do not answer, until it is certain that no request will ever reach them.

And tell the answers of an app from those of another program at its port.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from stack.engines.base import Engine
from stack.observed import Listening, Observed
from stack.verdict.judge import Answer, Failure, Misplaced, misplaced

# Before that hardly an app listens, and most answer.
_BEGINS_AFTER = 1.0
# One that listens on its port of an address that no request reaches is given up after so many seconds; one that listens
# on another port, after this part of the timeout: it may listen there first, and on its own after a long start.
_WRONG_ADDRESS_AFTER = 2.0
_WRONG_PORT_AFTER = 0.25


def own_answers(engine: Engine, observed: Observed, answers: Mapping[str, Answer]) -> Mapping[str, Answer]:
    """Take away the good answers that another program gave, which has the port of a process that still starts.

    A container has its published port for itself before it is started.
    """
    if engine.traits.target != "process":
        return answers
    return {name: _own(answer, engine.listening(name, observed.components[name])) for name, answer in answers.items()}


def _own(answer: Answer, listening: Listening | None) -> Answer:
    if not answer.ok or listening is None or any(port == listening.port for _, port in listening.found):
        return answer
    return Answer(False, f"another program answers at port {listening.port}")


class ListenCheck:
    """Remember since when each component listens where it should not, of those that are `asked` from outside."""

    def __init__(self, engine: Engine, asked: Callable[[Observed], Collection[str]], timeout: float) -> None:
        self._engine = engine
        self._asked = asked
        self._patience = {True: _WRONG_ADDRESS_AFTER, False: timeout * _WRONG_PORT_AFTER}
        self._since: dict[str, tuple[Misplaced, float]] = {}

    @property
    def found(self) -> Mapping[str, Misplaced]:
        """What is wrong now, by component."""
        return {name: wrong for name, (wrong, _) in self._since.items()}

    def failure(self, observed: Observed, answers: Mapping[str, Answer], seconds: float) -> Failure | None:
        """Look, so many seconds after the first look; return the failure that has become certain."""
        if seconds < _BEGINS_AFTER:
            return None
        wrong = {name: found for name in self._asked(observed) if (found := self._look(name, observed, answers))}
        self._since = {
            name: self._since[name] if self.found.get(name) == found else (found, seconds)
            for name, found in wrong.items()
        }
        for name, (found, since) in self._since.items():
            if seconds - since >= self._patience[found.certain]:
                return Failure(name, "not-ready", found.problem, found.hint)
        return None

    def _look(self, name: str, observed: Observed, answers: Mapping[str, Answer]) -> Misplaced | None:
        if name in answers and answers[name].ok:
            return None
        listening = self._engine.listening(name, observed.components[name])
        return misplaced(name, listening) if listening else None
