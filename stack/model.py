"""A stack: its components, and what follows from them together."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Self

from stack.agreement import (
    SharedVolume,
    check_agreement,
    checked_groups,
    first_groups,
    runnable,
    selected,
    shared_volumes,
)
from stack.calls import check_call, check_name, sequence
from stack.component import Component
from stack.errors import DeclarationError
from stack.external import External, externals_in
from stack.frozen import dataclass
from stack.order import Order
from stack.parameters import Needed, Parameter, gathered
from stack.references import SecretReference, Value, variable_prefix
from stack.workload import TARGETS, Target, Workload, complete

# The address of a registry, and of a folder in it.
_REGISTRY = re.compile(r"[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9][a-z0-9._/-]*)?")


@dataclass(frozen=True)
class Stack:
    """The declared whole: a name and its components, in the order in which they are shown.

    `groups`: components that are off unless they are asked for, `{"tools": [adminer]}` and `stackctl up --with tools`.
    They are among the components too. `isolated=False`: on Docker every component reaches every other, by two networks
    in all, for a stack that is too large to have one for each relation. `registry`: where images that are built are
    pushed to, for an engine whose machines pull them: `registry.example.com/team`.

    Raises `DeclarationError` when a name is there twice, a used component is missing, components use each other in
    a circle, a variable is given twice, two components publish one port, or a volume is declared in two ways.
    """

    name: str
    components: tuple[Component, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    externals: tuple[External, ...] = ()
    isolated: bool = True
    registry: str | None = None

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __init__(
        self,
        name: str,
        components: Sequence[Component | External],
        groups: Mapping[str, Sequence[Component | str]] | None = None,
        externals: Sequence[External] = (),
        isolated: bool = True,
        registry: str | None = None,
    ) -> None:
        listed = sequence("components", components)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "components", tuple(each for each in listed if not isinstance(each, External)))
        object.__setattr__(self, "groups", {} if groups is None else groups)
        outside = [*externals_in(listed), *externals]
        for component in self.components:
            outside += component.externals if isinstance(component, Component) else ()
        object.__setattr__(self, "externals", tuple(dict.fromkeys(outside)))
        object.__setattr__(self, "isolated", isolated)
        object.__setattr__(self, "registry", registry)
        self.__post_init__()

    def __post_init__(self) -> None:
        check_name("Stack", self.name)
        self._check_components()
        if not isinstance(self.isolated, bool):
            raise self.wrong("isolated", f"{self.isolated!r} is neither True nor False")
        if self.registry is not None and not (isinstance(self.registry, str) and _REGISTRY.fullmatch(self.registry)):
            raise self.wrong("registry", f"{self.registry!r} is no registry, such as 'registry.example.com/team'")
        if self.groups != {}:
            object.__setattr__(self, "groups", checked_groups(self, self.groups))
        check_agreement(self)

    def __iter__(self) -> Iterator[Component]:
        return iter(self.components)

    def __getitem__(self, name: str) -> Component:
        return self._by_name[name]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.components)

    @cached_property
    def _by_name(self) -> Mapping[str, Component]:
        return {component.name: component for component in self.components}

    def selected(self, on: Collection[str]) -> Stack:
        """Return the stack without the components of which every group is off; `whole` is still all of it.

        Raises `UsageError` if another needs one of them, and `DeclarationError` if two of those left can't be together.
        """
        if not self.groups:
            return self
        part = self._of(selected(self, on))
        object.__setattr__(part, "whole", self)
        return part

    def with_variables(self, given: Mapping[str, Mapping[str, Value]]) -> Stack:
        """Return the stack whose components get these variables, by their names, unless they have such a one."""
        stack = self._of(self.components, self.groups)
        object.__setattr__(stack, "given", given)
        if self.whole is not self:
            object.__setattr__(stack, "whole", self.whole)
        return stack

    def publishing(self, names: Collection[str]) -> Stack:
        """Return the stack whose components of these names publish each port on this machine, declared or not."""
        if not names:
            return self
        stack = self._of(self.components, self.groups)
        stack._publish(frozenset(names))
        return stack

    def _publish(self, names: frozenset[str]) -> None:
        object.__setattr__(self, "published", names)
        # The checks of what is declared have asked for them.
        self._own_workloads.clear()
        self._workloads.clear()

    def on_one_machine(self) -> Stack:
        """Return the stack with one replica of each component that listens on a port, which no two have there."""
        if not any(each.ports and each.replicas > 1 for each in self._containers):
            return self
        stack = self._of(self.components, self.groups)
        object.__setattr__(stack, "given", self.given)
        stack._set_alone()
        if self.whole is not self:
            object.__setattr__(stack, "whole", self.whole.on_one_machine())
        return stack

    def on_many_machines(self) -> Stack:
        """Return the stack with what runs beside its components on other machines, such as a standby."""
        if all(len(each.spread) == 1 for each in self.whole):
            return self
        groups = {
            group: [each.name for name in members for each in self._by_name[name].spread]
            for group, members in self.groups.items()
        }
        stack = self._of([each for component in self.components for each in component.spread], groups)
        object.__setattr__(stack, "given", self.given)
        if self.whole is not self:
            object.__setattr__(stack, "whole", self.whole.on_many_machines())
        return stack

    @property
    def _containers(self) -> list[Workload]:
        return [self.own_workload(name, "container") for name in self.names]

    def _set_alone(self) -> None:
        object.__setattr__(self, "alone", True)
        self._own_workloads.clear()
        self._workloads.clear()

    def able(self, target: Target) -> Stack:
        """Return the stack without the components that can't run on a target, or that need one of those."""
        left = runnable(self, target)
        names = {component.name for component in left}
        groups = {group: [each for each in members if each in names] for group, members in self.groups.items()}
        left_groups = {group: members for group, members in groups.items() if members}
        stack = self._of(left, left_groups)
        object.__setattr__(stack, "given", self.given)
        return stack

    def _of(
        self, components: Sequence[Component], groups: Mapping[str, Sequence[Component | str]] | None = None
    ) -> Stack:
        """Return the same stack of other components."""
        stack = Stack(self.name, components, groups, self._unused_externals, self.isolated, self.registry)
        if self.published:
            stack._publish(self.published)
        if self.alone:
            stack._set_alone()
        return stack

    @property
    def _unused_externals(self) -> tuple[External, ...]:
        """The externals that are listed, and that no component has in its `uses`."""
        used = {external for component in self.components for external in component.externals}
        return tuple(external for external in self.externals if external not in used)

    @cached_property
    def whole(self) -> Stack:
        """The stack with the components of all groups, also of those that are off."""
        return self

    @cached_property
    def given(self) -> Mapping[str, Mapping[str, Value]]:
        """The variables that components get beside those that they declare, by their names."""
        return {}

    @cached_property
    def published(self) -> frozenset[str]:
        """The components that publish each port though they may not declare it."""
        return frozenset()

    @cached_property
    def alone(self) -> bool:
        """Whether one machine runs all of it, on which no two replicas have one port."""
        return False

    @cached_property
    def off(self) -> Mapping[str, str]:
        """The components that are off, each with the name of its first group."""
        groups = first_groups(self.whole.groups)
        return {name: groups[name] for name in self.whole.names if name not in self._by_name}

    @cached_property
    def shared_volumes(self) -> Mapping[str, SharedVolume]:
        """The volumes that belong to no component, by their names; no component has such a name."""
        return shared_volumes(self)

    @cached_property
    def order(self) -> Order:
        """In which order the components start."""
        precedes = {
            each.name: [*each.precedes, *(other.name for other in self if set(other.follows) & set(each.precedes))]
            for each in self
        }
        return Order({each.name: each.needs for each in self}, precedes)

    @cached_property
    def jobs(self) -> tuple[str, ...]:
        """The names of the components that end, each after those that it waits for."""
        return tuple(name for name in self.order.names if self.own_workload(name, "container").once is not None)

    @cached_property
    def lasting(self) -> tuple[str, ...]:
        """The names of the components that run on."""
        return tuple(name for name in self.names if name not in self.jobs)

    def depth(self, name: str) -> int:
        """How many uses lie below a component: 0 for one that uses none."""
        return max((1 + self.depth(used) for used in self[name].needs), default=0)

    def replicas(self, name: str) -> int:
        """How many of a component run at once; 1 for one that is not declared."""
        return self.own_workload(name, "container").replicas if name in self._by_name else 1

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        return tuple(secret for component in self.components for secret in component.secrets(target))

    def workload(self, name: str, target: Target) -> Workload:
        """What a component runs, with what the components that it uses export to it.

        Raises `DeclarationError` for a component that can't run on this target.
        """
        if (name, target) not in self._workloads:
            self._workloads[name, target] = self._workload(name, target)
        return self._workloads[name, target]

    def own_workload(self, name: str, target: Target) -> Workload:
        """What a component runs, without what those that it uses export. Raises as the component does."""
        if (name, target) not in self._own_workloads:
            own = self[name].workload(target)
            own = own.publishing() if name in self.published else own
            self._own_workloads[name, target] = replace(own, replicas=1) if self.alone and own.ports else own
        return self._own_workloads[name, target]

    # Those that were asked for: a command asks for each many times.
    @cached_property
    def _workloads(self) -> dict[tuple[str, Target], Workload]:
        return {}

    @cached_property
    def _own_workloads(self) -> dict[tuple[str, Target], Workload]:
        return {}

    def _workload(self, name: str, target: Target) -> Workload:
        try:
            own = self.own_workload(name, target)
        except DeclarationError as error:
            raise DeclarationError(f"{self.name}/{error.path}", error.problem, error.hint) from error
        exported = {variable: value for variable, (_, value) in self.exported(name, target).items()}
        environment = {
            variable: value
            for variable, value in {**exported, **self.given.get(name, {}), **own.environment}.items()
            if self._has_file(value, target)
        }
        return complete(
            replace(own, environment=environment),
            lambda reference: self[reference.component].meaning(reference, target),
        )

    def _has_file(self, value: Value, target: Target) -> bool:
        """Say whether a secret that is passed as a file exists on this target; true of all else."""
        if not isinstance(value, SecretReference) or not value.component:
            return True
        return value in self[value.component].secrets(target)

    @cached_property
    def parameters(self) -> Mapping[str, Needed]:
        """The parameters that the components need, by their names."""
        needed = {component.name: self._parameters(component) for component in self.components}
        return gathered(needed | {external.name: (external.url,) for external in self.externals})

    def _parameters(self, component: Component) -> tuple[Parameter, ...]:
        """Return the parameters that a component needs a value of, on any target."""
        found = [external.url for external in component.externals]
        for target in TARGETS:
            # One that can't run on a target says so when it is to.
            with contextlib.suppress(DeclarationError):
                found += self.own_workload(component.name, target).parameters
        return tuple(dict.fromkeys(found))

    def exported(self, name: str, target: Target) -> dict[str, tuple[str, Value]]:
        """Return the variables that a component gets from those that it uses, each with the name of that one."""
        return {
            f"{variable_prefix(used)}_{suffix}": (used, value)
            for used, exports in (
                *((each.name, each.exports) for each in self[name].externals),
                *((used, self[used].exports(target)) for used in self[name].informs),
            )
            for suffix, value in exports.items()
        }

    def wrong(self, path: str, problem: str) -> DeclarationError:
        return DeclarationError(f"{self.name}/{path}", problem)

    def absent(self, path: str, name: str) -> DeclarationError:
        """Return the error of a name that is that of no component."""
        problem = f"{name!r} is not in the stack (it has {', '.join(self.names)})"
        return DeclarationError(f"{self.name}/{path}", problem, "add it to the list of the stack, or correct the name")

    def _no_component(self, path: str, given: object) -> DeclarationError:
        hint = "a stack lists components; it finds a volume, a parameter or an external where a component uses it"
        return DeclarationError(f"{self.name}/{path}", f"{given!r} is not a component", hint)

    def _check_components(self) -> None:
        if not self.components:
            raise self.wrong("components", "is empty; a stack has at least one component")
        for position, component in enumerate(self.components):
            if not isinstance(component, Component):
                raise self._no_component(f"components/{position}", component)
        names = [each.name for component in self.components for each in component.spread]
        for name in names:
            if names.count(name) > 1:
                raise self.wrong(name, "is there twice; a name belongs to one component")
