"""In which order components start: each after those that it uses, and after those whose end it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise


class Order:
    """The order of components. `needs`: what each uses; `precedes`: the components that wait for the end of each."""

    def __init__(self, needs: Mapping[str, Sequence[str]], precedes: Mapping[str, Sequence[str]]) -> None:
        before: dict[str, list[str]] = {name: [] for name in needs}
        for name, waiting in precedes.items():
            for each in waiting:
                before[each].append(name)
        self._needs = needs
        self._awaits = {name: tuple(dict.fromkeys([*needs[name], *before[name]])) for name in needs}

    def awaits(self, name: str) -> tuple[str, ...]:
        """Return what has to be up, or done, before a component starts: what it uses, and what comes before it."""
        return self._awaits[name]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All components, each after those that it waits for."""
        ordered: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in ordered:
                for awaited in self._awaits[name]:
                    visit(awaited)
                ordered[name] = None

        for name in self._needs:
            visit(name)
        return tuple(ordered)

    @cached_property
    def _below(self) -> Mapping[str, frozenset[str]]:
        below: dict[str, frozenset[str]] = {}
        for name in self.names:
            awaited = self._awaits[name]
            below[name] = frozenset(awaited).union(*(below[each] for each in awaited))
        return below

    def below(self, name: str) -> frozenset[str]:
        """Return all that has to be up or done before a component starts, also because something of that needs it."""
        return self._below[name]

    def find_circle(self) -> tuple[str, str] | None:
        """Return a circle, as the path of a field that it goes through and its names, if there is one."""
        known: set[str] = set()

        def walk(name: str, trail: tuple[str, ...]) -> tuple[str, str] | None:
            if name in trail:
                circle = (*trail[trail.index(name) :], name)
                job = next((then for now, then in pairwise(circle) if then not in self._needs[now]), None)
                return f"{job}/before" if job else f"{trail[0]}/uses", " -> ".join(circle)
            if name in known:
                return None
            found = (walk(awaited, (*trail, name)) for awaited in self._awaits[name])
            circle_found = next(filter(None, found), None)
            known.add(name)
            return circle_found

        return next(filter(None, (walk(name, ()) for name in self._needs)), None)
