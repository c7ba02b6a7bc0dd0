"""Where every command begins: `look` opens the instance that the settings mean, `change` locks it first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from stack.carried import read_contents
from stack.declaration import LIMIT, load_stack
from stack.errors import StackError
from stack.instance import Instance, default_ports, default_project
from stack.literals import literal_secrets
from stack.model import Stack
from stack.pins import read_pins
from stack.ports import AUTO, PortChoice
from stack.progress import Progress
from stack.record import Record
from stack.registry import Registry
from stack.settings import PLAYGROUND, Settings
from stack.snapshots.partial import remove_partial
from stack.state import State
from stack.workflow.asked import AS_THEY_ARE, Switches, chosen_groups, chosen_ports, chosen_published
from stack.workflow.choosing import Choose, fitting_engine, remembered_or_asked
from stack.workflow.env_files import with_env_files
from stack.workflow.naming import instance_name
from stack.workflow.opened import Opened, make_engine, whole, with_instance
from stack.workflow.parameters import Ask, find_parameters, kept_values, settled
from stack.workflow.recovering import find_generations
from stack.workflow.servers import asked_host, check_host, machine
from stack.workload import PortId


def look(settings: Settings, choose: Choose | None = None, groups: Switches = AS_THEY_ARE) -> Opened:
    """Open an instance to read it. Writes nothing and takes no lock: another command may change it meanwhile.

    `choose` picks the engine of a new instance if none was asked for; without it, `fitting_engine` does.
    """
    stack = load_stack(settings.file, settings.file_limit or LIMIT)
    return _open(settings, stack, instance_name(settings, stack), choose=choose, groups=groups)


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
    name = instance_name(settings, stack)
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
    choice = remembered_or_asked(settings, instance, remembered) or (choose or fitting_engine)(instance)
    engine, record = make_engine(choice, instance, record), replace(record, engine=choice.engine)
    fitting = stack.on_one_machine() if engine.traits.ports_here else stack.on_many_machines()
    if fitting is not stack:
        instance = replace(instance, stack=fitting)
        engine = make_engine(choice, instance, record)
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
