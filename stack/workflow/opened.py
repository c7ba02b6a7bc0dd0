"""An instance that a command works on, and the same with other ports, another declaration or another engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.frozen import dataclass
from stack.instance import Instance, default_ports
from stack.literals import LiteralSecret
from stack.ports import PortChoice
from stack.record import Record
from stack.references import FileSecret, secrets_in
from stack.state import State
from stack.workflow.choosing import Choice, next_engine
from stack.workflow.parameters import Found
from stack.workflow.queues import forgetful_queues
from stack.workflow.without_effect import fields_without_effect
from stack.workload import PortId


@dataclass(frozen=True)
class Opened:
    """An instance with what is needed to work on it.

    `asked`: the ports that the command line chooses, by component. `named`: it is not the one that its stack is
    called after. `automatic`: the components whose ports were chosen for them just now. `registry` is the folder that
    lists this user's instances; `literal`: the secrets in the stack file itself.
    `parameters`: those that were found; `instance` has the same, and for a command that changes it all of them.
    """

    instance: Instance
    state: State
    engine: Engine
    record: Record
    choice: Choice
    asked: Mapping[PortId, PortChoice] = field(default_factory=dict)
    named: bool = False
    automatic: tuple[PortId, ...] = ()
    registry: Path | None = None
    literal: tuple[LiteralSecret, ...] = ()
    parameters: Found = field(default_factory=Found)

    @property
    def where(self) -> str:
        """What it runs on, for people: the engine, why it was chosen, and the server."""
        return str(self.choice) if self.instance.host is None else f"{self.choice} on {self.instance.host}"

    @property
    def groups(self) -> Mapping[str, bool]:
        """Whether each group of components is on."""
        return {group: group in self.record.groups for group in self.instance.stack.whole.groups}

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know who changes the instance: of its engine, and of its declaration."""
        return (*self.engine.notices(), *self._declared_notices)

    @property
    def plan_notices(self) -> tuple[str, ...]:
        """What a user should know of a declaration before it is applied."""
        return (*self.engine.placement(), *self._variable_notices, *self._declared_notices)

    @property
    def losses(self) -> tuple[str, ...]:
        """What is declared and the engine does not do."""
        lost = (*self._lost_replicas, *self._lost_standbys, *self.engine.losses())
        return tuple(f"not on the {self.engine.name} engine: {each}" for each in lost)

    @property
    def _lost_replicas(self) -> list[str]:
        stack = self.instance.stack
        declared = {name: stack[name].workload("container").replicas for name in stack.names} if stack.alone else {}
        return [
            f"{name}/replicas: one of {count} runs, for on one machine all would want its port"
            for name, count in declared.items()
            if count > stack.replicas(name)
        ]

    @property
    def _lost_standbys(self) -> list[str]:
        beside = [each.name for each in self.instance.stack if len(each.spread) > 1]
        return [
            f"{name}/standby: none runs, for on one machine it would be lost together with {name}" for name in beside
        ]

    @property
    def _declared_notices(self) -> tuple[str, ...]:
        stack, target = self.instance.stack, self.engine.traits.target
        shared = not stack.isolated and target == "container"
        return (
            *self.literal_notices,
            *fields_without_effect(stack, target),
            *forgetful_queues(stack),
            *([f"{stack.name}: all components reach each other, as declared: isolated=False"] if shared else []),
        )

    @property
    def _variable_notices(self) -> tuple[str, ...]:
        """Name the variables of each component that hold a secret of another."""
        stack, target = self.instance.stack, self.engine.traits.target
        held = {
            name: [
                variable
                for variable, value in stack.workload(name, target).secret_environment.items()
                if any(secret.component != name and not isinstance(secret, FileSecret) for secret in secrets_in(value))
            ]
            for name in stack.names
        }
        listed = "; ".join(f"{name}: {', '.join(variables)}" for name, variables in held.items() if variables)
        if not listed:
            return ()
        what = "all that runs in a component can read them; one whose name ends in _FILE would have a path"
        return (f"variables that hold a secret: {listed}; {what}",)

    @property
    def literal_notices(self) -> tuple[str, ...]:
        return tuple(f"{each.problem}: {each.fix}" for each in self.literal)


def make_engine(choice: Choice, instance: Instance, record: Record) -> Engine:
    return ENGINES[choice.engine](instance, system_binaries=record.system_binaries)


def with_ports(opened: Opened, ports: Mapping[PortId, int], automatic: Sequence[PortId]) -> Opened:
    """Return the same instance with ports that are to be recorded; those of `automatic` were chosen for it."""
    instance = replace(opened.instance, ports={**opened.instance.ports, **ports})
    record = replace(opened.record, ports=ports)
    engine = make_engine(opened.choice, instance, record)
    return replace(opened, instance=instance, engine=engine, record=record, automatic=tuple(automatic))


def with_instance(opened: Opened, instance: Instance) -> Opened:
    """Return the same with another declaration, or with data in other stores."""
    record = replace(opened.record, generations=instance.generations)
    return replace(opened, instance=instance, record=record, engine=make_engine(opened.choice, instance, record))


def whole(opened: Opened) -> Opened:
    """Return the same with the components of groups that are off: their data is the instance's too.

    One that can't run on the engine of the instance has no data there.
    """
    instance = opened.instance
    if not instance.stack.off:
        return opened
    everything = instance.stack.whole.able(opened.engine.traits.target)
    ports = {**default_ports(everything), **opened.record.ports, **instance.ports}
    return with_instance(opened, replace(instance, stack=everything, ports=ports))


def on_next_engine(opened: Opened, reason: str) -> Opened | None:
    """Return it on the next engine that it can run on; None if the user chose the engine, or there is none."""
    name = next_engine(opened.instance, opened.engine.name) if opened.choice.free else None
    if name is None:
        return None
    choice, record = Choice(name, reason, free=True), replace(opened.record, engine=name)
    return replace(opened, engine=make_engine(choice, opened.instance, record), record=record, choice=choice)
