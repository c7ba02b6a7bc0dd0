"""What the rows of one run share: how long they measure, and the instances that they measure on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.compose_project import ComposeProject, compose_project
from benchmarks.instance import Instance, running

_TABLE = "CREATE TABLE plain_counter (page text PRIMARY KEY, visits bigint NOT NULL)"


@dataclass
class Session:
    """`rounds` of each measurement, each of `seconds`. Instances come up when they are first asked for."""

    engine: str
    rounds: int
    seconds: int
    _resources: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def contenders(self) -> Instance:
        """The service beside what it is compared with."""
        apps = ("web", "alone", "plain", "empty")
        instance = self._resources.enter_context(running("benchmarks/stack.py", self.engine, apps))
        instance.exec("db", "psql", "-U", "student", "-d", "student_notes", "-qc", _TABLE)
        return instance

    @cached_property
    def playground(self) -> Instance:
        """The bundled stack on the engine of this run."""
        return self.playground_on(self.engine)

    def playground_on(self, engine: str) -> Instance:
        """Another playground, on an engine of its own."""
        return self._resources.enter_context(running("stack/playground.py", engine, ("web",)))

    @cached_property
    def by_hand(self) -> ComposeProject:
        """The same stack in a file that somebody wrote for Docker Compose, with its image built."""
        return self._resources.enter_context(compose_project())

    @cached_property
    def replicas(self) -> Instance:
        """The service four times."""
        return self._resources.enter_context(
            running("benchmarks/replicas.py", self.engine, ("web", "web2", "web3", "web4"))
        )


@contextmanager
def session(engine: str, rounds: int, seconds: int) -> Iterator[Session]:
    """A session, whose instances are deleted in the end."""
    opened = Session(engine, rounds, seconds)
    with opened._resources:
        yield opened
