"""A worker: a process beside an app that nothing connects to, like one that takes jobs from a queue."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from stack.beside import Beside
from stack.capabilities import Check
from stack.checking import checked_replicas, checked_switch
from stack.components.container import Container
from stack.components.webapp import WebApp
from stack.frozen import dataclass
from stack.health import Command
from stack.parts import CommandCheck, checked_health, healthcheck_of
from stack.workload import Target, Workload


@dataclass(frozen=True)
class Worker(Beside):
    """A process that runs beside an app and has no port.

    - `of`: the app whose image, source, environment, volumes and `uses` it has, and with which it waits for a `Job`
      before that; or give it its own `image` or `source`.
    - `command`, `entrypoint`: what it runs; lists of words, or a text that is split into words. Without them one with
      its own image or source runs what the image says.
    - `environment`: beside that of the app, and before it. `volumes`: beside those of the app. `uses`: in the place of
      those of the app. `after`, `reaches`: as those of an app, beside what the app has.
    - `health`: `health.command([…])`, or None: it is well while it runs. The check of the app's image is not asked.
    - `replicas`: how many of it run at once. `singleton`: never two of them, also while a new one replaces the old: on
      one machine that is so for every worker, on a Docker Swarm the old one is stopped first.
    - `user`: that of the app, if it is None.

    It reaches the internet. What else it has, each `Program` has. Raises `DeclarationError` for a wrong value.
    """

    of: WebApp | Container | None = None
    health: Command | None = None
    replicas: int = 1
    singleton: bool = False

    _KINDS: ClassVar[tuple[type, ...]] = (WebApp, Container)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.health is not None:
            self._check_health(self.health)
        checked_switch(self, "singleton", self.singleton)
        checked_replicas(self, self.replicas, self.singleton)

    def _check_health(self, asked: object) -> None:
        if not isinstance(asked, Command):
            raise self.wrong("health", f"{asked!r} is not health.command([…]): a worker has no port to ask")
        checked_health(self, asked, (), ())

    @property
    def role(self) -> str:
        return "worker"

    @property
    def follows(self) -> tuple[str, ...]:
        return self.shares

    @property
    def takes_work(self) -> bool:
        return True

    def workload(self, target: Target) -> Workload:
        own = replace(super().workload(target), replicas=self.replicas, singleton=self.singleton)
        return own if self.health is None else replace(own, healthcheck=healthcheck_of(self.health))

    @property
    def check(self) -> Check | None:
        return CommandCheck(self.name, self.health) if self.health is not None else None
