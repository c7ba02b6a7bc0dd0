"""Start, update and stop the supervisord of an instance, and end what it leaves running."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Collection, Iterable

from stack.engines import process
from stack.engines.embedded import enter, logs
from stack.engines.embedded.control import Control, NotRunning, Program
from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.layout import Home, Layout, component_of
from stack.engines.embedded.namespace import BindMounts, command_as, command_in_namespace, is_named, namespace_refused
from stack.engines.embedded.render import declared_process, sections
from stack.engines.embedded.search import package_folder
from stack.engines.embedded.start_log import read_start_log
from stack.engines.embedded.strays import end_strays
from stack.engines.embedded.waiting import wait_until
from stack.engines.one_offs import is_left, is_one_off
from stack.errors import StackError
from stack.files import update_text
from stack.instance import Instance

SUPERVISORD = "supervisord"
# How long supervisord may take to answer after its start, and to end after its programs have.
_TIMEOUT = 15.0
_LAUNCH_TIMEOUT = 30.0
# On SIGTERM it stops its programs first.
_SUPERVISORD_STOP_GRACE = 75.0
_LOG_LINES = 15
# A component that is no longer declared may be a database.
_UNDECLARED_STOP_GRACE = 60


class Supervisor:
    """The supervisord of one instance."""

    def __init__(self, instance: Instance, home: Home, files: HomeFiles) -> None:
        self._instance = instance
        self._home = home
        self._files = files
        self._control = Control(home.control)

    @property
    def answers(self) -> bool:
        return self._control.answers

    def programs(self) -> dict[str, Program]:
        """Ask for the state of each program; there is none if supervisord does not run."""
        try:
            return {program.name: program for program in self._control.programs()}
        except NotRunning:
            return {}

    # Start and update

    def launch(self, text: str, layout: Layout, mounts: BindMounts) -> None:
        """Start supervisord with a configuration, and wait until it answers."""
        with self._files.changing():
            for start_log in self._home.runs.iterdir():
                start_log.unlink()
            update_text(self._home.configuration, text)
            self._home.control.unlink(missing_ok=True)
        output = self._home.logs / "supervisord.out"
        command = [
            *layout.script("launch"), "--run", str(self._home.run(SUPERVISORD)), "--folder", str(self._home.folder),
            f"PATH={layout.path}", "LANG=C.UTF-8", f"HOME={self._home.folder}",
            f"PYTHONPATH={package_folder('supervisor').parent}", "PYTHONWARNINGS=ignore", "--",
            sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self._home.configuration),
        ]  # fmt: skip
        with command_in_namespace(command, self._home.folder, self._files.run_as, mounts, output) as entering:
            started = process.run(entering, {}, _LAUNCH_TIMEOUT)
        if started.exit_code == enter.NO_NAMESPACE:
            raise namespace_refused(started.stderr)
        if not started.ok:
            raise StackError("supervisord-failed", "supervisord could not be started", "see above", started.stderr)
        if not wait_until(lambda: self._control.answers, _TIMEOUT):
            last_lines = "\n".join(logs.last_lines(output, _LOG_LINES))
            raise StackError(
                "supervisord-failed", f"supervisord did not start in {_TIMEOUT:g} s", "see above", last_lines
            )

    def update(self, text: str, recreate: Collection[str] = (), only: Collection[str] = ()) -> None:
        """Apply a configuration to a supervisord that runs: restart the programs that it changes, start what ended.

        Restart those of `recreate` even if they are unchanged. With `only`, touch no other programs.
        """
        control = self._control
        self.restore_name()
        self._files.write(self._home.configuration, text)
        added, changed, removed = (
            [name for name in names if not only or component_of(name) in only] for names in control.reload()
        )
        asked = [name for name in sections(text) if component_of(name) in recreate]
        again = {*changed, *(name for name in asked if name not in (*added, *removed))}
        self._stop({*again, *removed})
        for name in {*again, *removed}:
            control.remove(name)
        self.end_strays()
        for name in sorted({*added, *again}, key=self._depth):
            self._reset_start_log(name)
            control.add(name)
        for program in sorted(control.programs(), key=lambda program: self._depth(program.name)):
            if self._rests(program) and component_of(program.name) in self._lasting(only):
                self._reset_start_log(program.name)
                with contextlib.suppress(StackError):  # it was started just now
                    control.start(program.name)

    def _rests(self, program: Program) -> bool:
        """Say whether supervisord does not start a program again by itself."""
        if program.state == "EXITED":
            declared = declared_process(self._instance, component_of(program.name))
            return declared is not None and declared.restart != "always"
        return program.state in ("STOPPED", "FATAL")

    def _lasting(self, only: Collection[str] = ()) -> set[str]:
        """Return the declared programs that run on, all or those of `only`."""
        stack = self._instance.stack
        return {*(only or stack.names)}.difference(stack.jobs)

    def run(self, names: Collection[str]) -> None:
        """Start programs that end, which nothing else starts."""
        for name in names:
            self._reset_start_log(name)
            self._control.start(name)

    def restore_name(self) -> None:
        """Give the servers' user its name again if it lost it, because programs like `initdb` need one.

        It is lost when another user of the machine is made, and what failed for that is started again.
        """
        run_as = self._files.run_as
        if (pid := self._pid(SUPERVISORD)) is None or is_named(pid, run_as):
            return
        entered = process.run(command_as(["true"], self._home.folder, run_as, pid), {"PATH": os.defpath}, _TIMEOUT)
        if entered.exit_code == enter.NO_NAMESPACE:
            raise namespace_refused(entered.stderr)

    def _reset_start_log(self, name: str) -> None:
        with self._files.changing():
            self._home.run(name).unlink(missing_ok=True)

    def await_starts(self, only: Collection[str] = ()) -> None:
        """Wait until each program, or each of `only`, was started once: before that, supervisord calls it stopped."""
        awaited = self._lasting(only)

        def all_started() -> bool:
            starting = self._control.programs()
            return not any(each.state == "STOPPED" and component_of(each.name) in awaited for each in starting)

        wait_until(all_started, _TIMEOUT)
        self.restore_name()

    # Stop

    def stop(self, names: Collection[str]) -> None:
        """Stop the programs of components, users before what they use; supervisord keeps them."""
        self._stop(name for name in self.programs() if component_of(name) in names)
        self.end_strays()

    def _stop(self, programs: Iterable[str]) -> None:
        """Stop programs, those of one depth at once."""
        by_depth = sorted(programs, key=self._depth, reverse=True)
        for _, together in itertools.groupby(by_depth, self._depth):
            self._control.stop({name: self._stop_grace(name) for name in together})

    def shut_down(self) -> None:
        """End supervisord, which stops all programs in order, and then what it has left running."""
        stack = self._instance.stack
        timeout = _TIMEOUT + sum(self._stop_grace(name) * stack.replicas(name) for name in stack.names)
        pid = self._pid(SUPERVISORD)
        try:
            self._control.shut_down()
        except NotRunning:
            if pid is not None:
                _signal(pid, signal.SIGTERM)
        except StackError:
            # It is frozen or broken, and won't stop its programs: `end_orphans` does.
            timeout = 0
        if not wait_until(self._is_gone, timeout) and pid is not None:
            _signal(pid, signal.SIGKILL)
            wait_until(self._is_gone, _TIMEOUT)
        self.end_orphans()

    def finish_shutdown(self) -> None:
        """Finish a shutdown that an interrupted command began: a stopping supervisord accepts no programs."""
        if not self._control.answers:
            return
        try:
            self._control.programs()
        except NotRunning:
            self.shut_down()

    def _is_gone(self) -> bool:
        # Asked first: it goes on with its end as soon as it is asked something, and else once a second.
        with contextlib.suppress(StackError):
            if self._control.answers:
                return False
        return self._pid(SUPERVISORD) is None

    def end_orphans(self) -> None:
        """Stop in order the programs of a supervisord that is gone or does not answer, and itself before them."""
        if (supervisord := self._pid(SUPERVISORD)) is not None:
            self._end(SUPERVISORD, supervisord, signal.SIGTERM, _SUPERVISORD_STOP_GRACE)
        names = [path.name for path in self._home.runs.iterdir()] if self._home.runs.is_dir() else []
        for name in sorted(names, key=self._depth, reverse=True):
            if (pid := self._pid(name)) is not None:
                self._end(name, pid, self._stop_signal(name), self._stop_grace(name))
        self.end_strays()

    def end_strays(self) -> None:
        """Kill what components that ended have left in the background."""

        def has_ended(name: str) -> bool:
            if is_one_off(name):
                return is_left(self._instance.state, name)
            return name != SUPERVISORD and self._pid(name) is None

        if not wait_until(lambda: not end_strays(self._home.runs, has_ended), _TIMEOUT):
            raise StackError("process-stuck", "what the components started does not end, not even killed", "see `ps`")

    def _end(self, name: str, pid: int, stop_signal: signal.Signals, stop_grace: float) -> None:
        """Stop a process with its signal, and kill it if it takes longer than its grace."""
        for number, timeout in ((stop_signal, stop_grace), (signal.SIGKILL, _TIMEOUT)):
            _signal(pid, number)
            if wait_until(lambda: self._pid(name) is None, timeout):
                return
        raise StackError(
            "process-stuck", f"{name} (process {pid}) does not end, not even killed", "see what holds it with `ps`"
        )

    def _pid(self, name: str) -> int | None:
        return read_start_log(self._home.run(name)).pid

    def _depth(self, name: str) -> int:
        """Sort programs by what they use. One that is no longer declared may use any other, so it stops first."""
        component = component_of(name)
        return self._instance.stack.depth(component) if component in self._instance.stack.names else 1000

    def _stop_grace(self, name: str) -> int:
        declared = declared_process(self._instance, component_of(name))
        return declared.stop_grace if declared else _UNDECLARED_STOP_GRACE

    def _stop_signal(self, name: str) -> signal.Signals:
        declared = declared_process(self._instance, component_of(name))
        return signal.Signals[f"SIG{declared.stop_signal if declared else 'TERM'}"]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
