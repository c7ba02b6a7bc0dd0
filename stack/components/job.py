"""A job: a command that ends, like a migration, before what waits for it starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, replace
from typing import ClassVar, Self

from stack.beside import Beside
from stack.checking import checked_seconds, checked_switch, used_names
from stack.component import Component
from stack.components.container import Container
from stack.components.webapp import WebApp
from stack.frozen import dataclass
from stack.workload import Once, Target, Workload


@dataclass(frozen=True)
class Job(Beside):
    """A command that `up` runs to its end, and that has to end with 0.

    - `of`: the app whose image, source, environment, volumes and `uses` it has; or give it its own `image` or `source`.
    - `command`, `entrypoint`: what it runs; lists of words, or a text that is split into words. Without them one with
      its own image or source runs what the image says.
    - `before`: the components that start, or are replaced, only after it is done. So is each worker of these, and each
      that has it in its `uses`. If it fails, `up` fails, and what ran of these before runs on. A job that nothing waits
      for runs too.
    - `always`: it runs at each `up`.
    - `timeout`: the seconds after which it is stopped and has failed.
    - `environment`: beside that of the app, and before it. `volumes`: beside those of the app. `uses`: in the place of
      those of the app. `after`, `reaches`: as those of an app, beside what the app has.
    - `user`: that of the app, if it is None.

    A job that is done runs again at the next `up` after a change of its declaration, image, source or secrets, and of
    the data that it uses: after `reset`, `snapshot restore`, `undo`, `load` and `upgrade`, which may bring older data.
    `stop` and `start`, `down` and `rotate` are no reason to run it again. A run whose end was not seen, because `up`
    was killed, counts for nothing: what it does has to bear being done twice.

    It reaches the internet. What else it has, each `Program` has. Raises `DeclarationError` for a wrong value.
    """

    of: WebApp | Container | None = None
    _: KW_ONLY
    before: Sequence[Component | str] = ()
    always: bool = False
    timeout: int = 600

    _KINDS: ClassVar[tuple[type, ...]] = (WebApp, Container)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("before", used_names(self, self.before, "before"))
        checked_switch(self, "always", self.always)
        checked_seconds(self, "timeout", self.timeout)

    @property
    def role(self) -> str:
        return "job"

    @property
    def needs(self) -> tuple[str, ...]:
        # Its app may use the job itself.
        return tuple(name for name in super().needs if name != self.name)

    @property
    def informs(self) -> tuple[str, ...]:
        return tuple(name for name in super().informs if name != self.name)

    @property
    def precedes(self) -> tuple[str, ...]:
        return used_names(self, self.before, "before")

    def preceding(self, names: Collection[str]) -> Self:
        return replace(self, before=tuple(name for name in self.precedes if name in names))

    def workload(self, target: Target) -> Workload:
        return replace(super().workload(target), restart="no", once=Once(self.always, self.timeout))
