"""Where every command begins: `look` opens the instance that the settings mean, `change` locks it first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stack.agreement import runs_on
from stack.capabilities import Dumps
from stack.carried import read_contents
from stack.component import Component
from stack.declaration import LIMIT, load_stack
from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.errors import ExitCode, StackError, UsageError
from stack.instance import Instance, default_ports, default_project
from stack.literals import LiteralSecret, literal_secrets
from stack.model import Stack
from stack.observed import ComponentState, Observed
from stack.pins import read_pins
from stack.ports import AUTO, PortChoice
from stack.progress import Progress
from stack.record import Record
from stack.references import FileSecret, secrets_in
from stack.registry import Registry
from stack.settings import PLAYGROUND, Settings
from stack.snapshots.partial import remove_partial
from stack.state import State
from stack.workflow.asked import AS_THEY_ARE, Switches, chosen_groups, chosen_ports, chosen_published
from stack.workflow.env_files import with_env_files
from stack.workflow.parameters import Ask, Found, find_parameters, kept_values, settled
from stack.workflow.queues import forgetful_queues
from stack.workflow.recovering import find_generations
from stack.workflow.servers import asked_host, check_host, machine
from stack.workflow.without_effect import fields_without_effect
from stack.workload import PortId

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_LONGEST_NAME = 31
_MARK = 6


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


@dataclass(frozen=True)
class Choice:
    """Which engine an instance has. `free`: no option and no earlier `up` chose it, and another may take its place.

    `reason` says why it was chosen; empty for one that was asked for or is the instance's already.
    """

    engine: str
    reason: str = ""
    free: bool = False

    def __str__(self) -> str:
        return f"{self.engine} ({self.reason})" if self.reason else self.engine


Choose = Callable[[Instance], Choice]


def look(settings: Settings, choose: Choose | None = None, groups: Switches = AS_THEY_ARE) -> Opened:
    """Open an instance to read it. Writes nothing and takes no lock: another command may change it meanwhile.

    `choose` picks the engine of a new instance if none was asked for; without it, `fitting_engine` does.
    """
    stack = load_stack(settings.file, settings.file_limit or LIMIT)
    return _open(settings, stack, _name(settings, stack), choose=choose, groups=groups)


@contextmanager
def change(
    settings: Settings,
    progress: Progress,
    ports: Mapping[str | None, PortChoice] | None = None,
    system_binaries: bool = False,
    deletes_all: bool = False,
    parameters: bool = True,
    ask: Ask | None = None,
    groups: Switches = AS_THEY_ARE,
    unreachable: bool = False,
) -> Iterator[Opened]:
    """Lock an instance for the block, then open it: what is read under the lock stays true until its release.

    `ports` are those chosen on the command line, by component; None stands for the only one that is published, with
    `auto` for all. A port that nothing chose is that of the declaration: `registered` chooses it. `deletes_all`: the
    command reads no data and keeps none, so that it need not be known which revision is in use. `parameters`: the
    command may start something, for which each parameter needs a value; `ask` asks for those without one.
    `unreachable`: the engine can't be asked, not for a lock either.
    """
    stack = load_stack(settings.file, settings.file_limit or LIMIT)
    name = _name(settings, stack)
    state = State(settings.state_root / name)
    with state.locked(progress):
        remove_partial(settings.state_root, name)
        _remove_unfinished(settings, stack, state, progress)
        opened = _open(settings, stack, name, ports, system_binaries, groups=groups)
        if parameters:
            opened = with_parameters(opened, settings, ask)
        if unreachable:
            yield opened
            return
        with opened.engine.locked(progress):
            yield opened if opened.state.record() or deletes_all else _with_found_generations(opened)


def _remove_unfinished(settings: Settings, stack: Stack, own: State, progress: Progress) -> None:
    """Remove what is left of branches whose command was killed before they were made; hold the lock of `own`.

    What can't be removed of another one is no reason for the command to fail.
    """
    if own.unfinished:
        _remove(settings, stack, own, progress)
    for other in own.unfinished_others():
        with suppress(StackError), other.locked_if_free() as held:
            if held and other.unfinished:
                _remove(settings, stack, other, progress)


def _remove(settings: Settings, stack: Stack, state: State, progress: Progress) -> None:
    name = state.folder.name
    progress.step(f"{name}: removing what is left of a branch that was not finished")
    if (record := state.record()) is not None:
        left = _open(replace(settings, engine=record.engine, host=record.host), stack, name)
        with left.engine.locked(progress):
            left.engine.destroy()
        Registry(settings.registry).remove(record.project)
    state.delete()


def with_parameters(opened: Opened, settings: Settings, ask: Ask | None = None) -> Opened:
    """Return it with a value for each parameter. Raises `parameter-invalid` and `parameter-missing`."""
    given = settled(opened.parameters, opened.instance.stack, settings.file, ask)
    kept = kept_values(opened.instance.stack, given, opened.record.parameters)
    record = replace(opened.record, parameters=kept)
    return with_instance(replace(opened, record=record), replace(opened.instance, parameters=given))


def _with_found_generations(opened: Opened) -> Opened:
    """Return a new instance as it is; one whose state was lost, with the data that it used."""
    try:
        opened.engine.check()
    except StackError:
        # The command says it, unless it chooses another engine.
        return opened
    found = find_generations(whole(opened).engine, opened.instance.name)
    return with_instance(opened, replace(opened.instance, generations=found)) if found else opened


def reopen(
    opened: Opened, settings: Settings, engine: str | None, had: Mapping[PortId, int], groups: Switches
) -> Opened:
    """Open an instance that does not exist on another engine, with the ports that it had, and groups; hold its lock."""
    stack = opened.instance.stack.whole
    declared = default_ports(stack.selected(groups.on))
    ports: dict[str | None, PortChoice] = {port: had[port] for port in declared if port in had}
    other = _open(replace(settings, engine=engine), stack, opened.instance.name, ports, groups=groups)
    found = replace(other.parameters, given={**other.parameters.given, **opened.instance.parameters})
    record = replace(other.record, parameters=opened.record.parameters)
    return with_parameters(replace(other, record=record, parameters=found), settings)


def _name(settings: Settings, stack: Stack) -> str:
    name = settings.instance or default_name(settings, stack)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for an instance", "use a-z, 0-9 and -, at most 31 characters")
    return name


def default_name(settings: Settings, stack: Stack) -> str:
    """Return the name of the instance if none was asked for: that of the stack, and in a Git worktree with its name.

    So two checkouts share no data by accident, wherever their states are. One that has an instance called after its
    stack alone keeps it.
    """
    if settings.worktree is None:
        return stack.name
    name = f"{stack.name}-{settings.worktree}"
    if len(name) > _LONGEST_NAME:
        mark = hashlib.sha256(name.encode()).hexdigest()[:_MARK]
        name = f"{name[: _LONGEST_NAME - _MARK - 1].rstrip('-')}-{mark}"
    earlier = State(settings.state_root / stack.name)
    return stack.name if earlier.exists() and not State(settings.state_root / name).exists() else name


def _open(
    settings: Settings,
    stack: Stack,
    name: str,
    ports: Mapping[str | None, PortChoice] | None = None,
    system_binaries: bool = False,
    choose: Choose | None = None,
    groups: Switches = AS_THEY_ARE,
) -> Opened:
    folder = settings.state_root / name
    state = State(folder)
    remembered = state.record() or Record(
        default_project(name, folder, machine(settings)), {}, host=asked_host(settings)
    )
    check_host(settings, name, remembered)
    published = chosen_published(stack, remembered.published, groups)
    stack = stack.publishing(published)
    on = chosen_groups(stack, remembered.groups, groups)
    every, stack = default_ports(stack), stack.selected(on)
    stack, unread = with_env_files(settings, stack)
    declared = default_ports(stack)
    kept = {port: number for port, number in remembered.ports.items() if port in every}
    # What is published already stays where it is.
    fresh = (port for port in declared if port.component in groups.publish and port not in kept)
    asked: dict[PortId, PortChoice] = dict.fromkeys(fresh, AUTO)
    asked |= chosen_ports(stack, ports or {})
    parameters = find_parameters(settings, stack, state, remembered.parameters)
    parameters = replace(parameters, problem=parameters.problem or unread)
    record = replace(
        remembered,
        ports=kept | {port: number for port, number in asked.items() if number != AUTO},
        system_binaries=remembered.system_binaries or system_binaries,
        groups=on,
        published=published,
    )
    instance = Instance(
        name=name,
        project=record.project,
        stack=stack,
        folder=settings.file.parent,
        state=folder,
        ports=dict(declared) | {port: number for port, number in record.ports.items() if port in declared},
        generations=record.generations,
        contents=read_contents(stack, settings.file.parent, settings.state_root),
        parameters=parameters.given,
        pins={} if settings.file == PLAYGROUND else read_pins(settings.file.parent),
        stopped=frozenset(record.stopped),
        registry=settings.images or stack.registry,
        host=record.host,
    )
    choice = _remembered_or_asked(settings, instance, remembered) or (choose or fitting_engine)(instance)
    engine, record = _engine(choice, instance, record), replace(record, engine=choice.engine)
    fitting = stack.on_one_machine() if engine.traits.ports_here else stack.on_many_machines()
    if fitting is not stack:
        instance = replace(instance, stack=fitting)
        engine = _engine(choice, instance, record)
    return Opened(
        instance=instance,
        state=state,
        engine=engine,
        record=record,
        choice=choice,
        asked=asked,
        named=name != stack.name,
        registry=settings.registry,
        literal=literal_secrets(stack, _text(settings.file)),
        parameters=parameters,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _engine(choice: Choice, instance: Instance, record: Record) -> Engine:
    return ENGINES[choice.engine](instance, system_binaries=record.system_binaries)


def with_ports(opened: Opened, ports: Mapping[PortId, int], automatic: Sequence[PortId]) -> Opened:
    """Return the same instance with ports that are to be recorded; those of `automatic` were chosen for it."""
    instance = replace(opened.instance, ports={**opened.instance.ports, **ports})
    record = replace(opened.record, ports=ports)
    engine = _engine(opened.choice, instance, record)
    return replace(opened, instance=instance, engine=engine, record=record, automatic=tuple(automatic))


def with_instance(opened: Opened, instance: Instance) -> Opened:
    """Return the same with another declaration, or with data in other stores."""
    record = replace(opened.record, generations=instance.generations)
    return replace(opened, instance=instance, record=record, engine=_engine(opened.choice, instance, record))


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
    name = _next_engine(opened.instance, opened.engine.name) if opened.choice.free else None
    if name is None:
        return None
    choice, record = Choice(name, reason, free=True), replace(opened.record, engine=name)
    return replace(opened, engine=_engine(choice, opened.instance, record), record=record, choice=choice)


def _remembered_or_asked(settings: Settings, instance: Instance, record: Record) -> Choice | None:
    """Data does not move between engines by itself: an instance stays on its own."""
    asked, own = settings.engine, record.engine
    for name in (asked, own):
        if name is not None and name not in ENGINES:
            raise UsageError(f"{name!r} is not an engine", f"the engines are: auto, {', '.join(ENGINES)}")
    if asked and own and asked != own:
        raise StackError(
            "engine-differs",
            f"{instance.name} is on the engine {own}, and its data with it; {asked} was asked for",
            "leave --engine and STACKCTL_ENGINE out, or take another --instance NAME; "
            f"`stackctl move --to {asked}` takes it there",
        )
    if own:
        return Choice(own)
    if record.host is None:
        return Choice(asked) if asked else None
    serving = [name for name, make in ENGINES.items() if make(instance).traits.serves]
    if asked not in (None, *serving):
        raise UsageError(
            f"the engine {asked} runs on this machine alone", f"leave --host out, or --engine {serving[0]}"
        )
    return Choice(asked or serving[0])


def fitting_engine(instance: Instance) -> Choice:
    """Choose the first engine if it answers within two seconds, else the next one that the stack can run on."""
    first = default_engine()
    engine = ENGINES[first](instance)
    try:
        engine.check(within=2)
    except StackError as error:
        other = _next_engine(instance, first)
        if other is None:
            return Choice(first, "the stack can run on it alone")
        return Choice(other, f"no {engine.traits.program}: {error.message}", free=True)
    return Choice(first, f"{engine.traits.program} answers", free=True)


def default_engine() -> str:
    """Return the name of the engine that is chosen first."""
    return next(iter(ENGINES))


def _next_engine(instance: Instance, name: str) -> str | None:
    """Return the first engine after `name` whose kind of workload every component has."""
    names = list(ENGINES)
    later = names[names.index(name) + 1 :]
    return next((each for each in later if _may_be_chosen(instance, each)), None)


def _may_be_chosen(instance: Instance, name: str) -> bool:
    """Say whether an engine that nothing names can run all components."""
    # One is made only to be asked, and loads what it needs for that.
    traits = ENGINES[name](instance).traits
    return traits.chosen_by_itself and all(
        runs_on(instance.stack, each, traits.target) for each in instance.stack.names
    )


def default_unseen(instance: Instance) -> Choice:
    """Choose the first engine unchecked, for a command that needs no engine that runs."""
    return Choice(default_engine(), "the default", free=True)


def find_component(instance: Instance, name: str) -> Component:
    """Find a component. Raises `service-unknown`, which lists those there are."""
    stack = instance.stack
    if name in (external.name for external in stack.externals):
        raise UsageError(f"{name!r} is external: stackctl runs nothing of it", "use the tools of that server itself")
    if name not in stack.names:
        problem, hint = f"{name!r} is not a component of {stack.name}", f"it has: {', '.join(stack.names)}"
        if name in stack.off:
            group = stack.off[name]
            problem, hint = (
                f"{name!r} is in the group {group!r}, which is off",
                f"`stackctl up --with {group}` turns it on",
            )
        error = StackError("service-unknown", problem, hint)
        error.exit_code = ExitCode.USAGE
        raise error
    return instance.stack[name]


def pick_database(instance: Instance, name: str | None) -> tuple[str, Dumps]:
    """Find the component whose data is dumped and loaded: the one named, else the only one."""
    if name is not None:
        component = find_component(instance, name)
        if component.dumps is None:
            raise UsageError(f"{name!r} is a {component.role}", "name another component, or leave the name out")
        return name, component.dumps
    found = {each.name: each.dumps for each in instance.stack if each.dumps is not None}
    if len(found) != 1:
        raise UsageError(f"which database? The stack has: {', '.join(found) or 'none'}", "write its name")
    return next(iter(found.items()))


def require_up(instance: Instance, observed: Observed) -> None:
    """Raise `instance-down` if nothing of the instance exists."""
    if not observed.exists:
        raise StackError("instance-down", f"{instance.name} is not up", "run `stackctl up` first")


def require_running(instance: Instance, observed: Observed, name: str) -> ComponentState:
    """Return the state of a component. Raises `instance-down` or `component-down` unless it can be asked."""
    require_up(instance, observed)
    component = observed.components.get(name)
    if component is None or not component.running:
        state = component.summary if component else "absent"
        raise StackError(
            "component-down",
            f"{name} does not run ({state})",
            f"a job runs to its end; see `stackctl logs {name}`"
            if name in instance.stack.jobs
            else f"run `stackctl up`, and look at `stackctl logs {name}`",
        )
    return component
