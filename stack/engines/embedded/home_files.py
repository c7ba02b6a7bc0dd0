"""Make and remove the files of an embedded instance's home, with the rights of the servers' user only."""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stack.copies import keep_copies, write_copy
from stack.engines.embedded import accounts
from stack.engines.embedded.data_folders import all_volumes, discard, empty_folders
from stack.engines.embedded.host import LocalHost
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.render import copied_files, declared_process, resolve
from stack.engines.embedded.search import package_folder
from stack.engines.embedded.user import RunAs, acting_as, make_private, returning
from stack.engines.variables import given_variables
from stack.files import explaining, update_text
from stack.instance import Instance
from stack.state import State


class HomeFiles:
    """The files of one instance. Changing them raises `state-unusable`."""

    def __init__(self, instance: Instance, home: Home) -> None:
        self._instance = instance
        self._home = home
        self._state = State(instance.state)

    @property
    def run_as(self) -> RunAs | None:
        """The user that the servers run as, which the first `make` chooses for root's instances."""
        return accounts.run_as_of(self._home.folder)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Change files as the servers' user. Do nothing else: modules that Python would import may be root's alone."""
        hint = "check the folder's permissions and free space"
        with returning(), acting_as(self.run_as), explaining("state-unusable", self._home.folder, hint, inside=True):
            yield

    def make(self) -> None:
        """Make the folders of the home that do not exist."""
        if self.run_as is not None:
            accounts.make_home(self._home.folder)
        else:
            self._home.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.changing():
            home, run_as = self._home, self.run_as
            folders = [home.folder, home.runtime, home.secrets, home.commands, home.runs, home.logs]
            for folder in (*folders, home.configuration.parent, home.folder / "data"):
                make_private(folder, run_as)
            for folder in empty_folders(self._instance, home):
                make_private(folder, run_as)

    def write(self, path: Path, text: str) -> None:
        """Write one file of the home, unless it has this content."""
        with self.changing():
            update_text(path, text)

    def provide_secrets(self) -> None:
        """Make the declared secrets that do not exist, in the instance's state."""
        for secret in self._instance.stack.secrets("process"):
            self._state.provide_secret(secret.id)

    def write_all(self, layout: Layout) -> None:
        """Write what the servers read besides the configuration, and the instance's commands."""
        read = self._instance.secret_files("process")
        secrets = {each: self._state.secret(each).reveal() for each in read if self._state.has_secret(each)}
        commands, variables = _commands(layout), self._variables(layout)
        with self.changing():
            if self.run_as is not None:
                self._hand_over(secrets)
            self._write_component_files(layout)
            for path, text in variables.items():
                update_text(path, text)
            self._write_copies()
            for name, script in commands.items():
                update_text(self._home.commands / name, script, 0o700)

    def _variables(self, layout: Layout) -> dict[Path, str]:
        """Return the files with secrets and parameters, of the components that could run with these ports."""
        stack = self._instance.stack
        declared = {port.id for name in stack.names for port in stack.workload(name, "process").ports}
        if not declared <= layout.ports.keys():
            return {}
        found = given_variables(self._instance, "process", functools.partial(resolve, layout))
        return {
            self._home.variables(name): json.dumps(variables)
            for name, variables in found.items()
            if variables is not None
        }

    def _hand_over(self, secrets: Mapping[str, str]) -> None:
        """Copy the secrets into the home and note where the state is: the servers' user can't reach root's state."""
        update_text(self._home.state, f"{self._instance.state}\n")
        for secret_id, value in secrets.items():
            update_text(self._home.secret(secret_id), value, 0o400)

    def _write_component_files(self, layout: Layout) -> None:
        host = LocalHost(layout)
        for component in self._instance.stack:
            process = declared_process(self._instance, component.name)
            # One whose ports are not chosen has never run, and its files may name them.
            if process is not None and all(port.id in layout.ports for port in process.ports):
                for name, text in component.process_files(host).items():
                    update_text(self._home.file(component.name, name), text)

    def _write_copies(self) -> None:
        for file in copied_files(self._instance):
            if (content := self._instance.content(file)) is not None:
                make_private(self._home.copies, self.run_as)
                write_copy(self._home.copies / self._instance.stored_name(file), content)

    def remove_spare_copies(self) -> None:
        """Remove the copies of files whose content is another one now; nothing runs with them any more."""
        keep_copies(self._home.copies, {self._instance.stored_name(file) for file in copied_files(self._instance)})

    def remove_all_but_data(self) -> None:
        with self.changing():
            for folder in ("conf", "logs", "runs", "bin", "secrets"):
                if (self._home.folder / folder).exists():
                    shutil.rmtree(self._home.folder / folder)
            if self._home.runtime.exists():
                shutil.rmtree(self._home.runtime)

    def remove_home(self) -> None:
        """Delete the data and the rest of the home."""
        if not self._home.folder.is_dir():
            return
        with self.changing():
            for volume in all_volumes(self._instance, self._home):
                discard(Path(volume))
            for entry in self._home.folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        # Root owns the folder that it is in.
        self._home.folder.rmdir()


def _commands(layout: Layout) -> dict[str, str]:
    """Return the scripts of the instance's own commands, by name."""
    control = ["-m", "supervisor.supervisorctl", "-c", str(layout.home.configuration)]
    scripts = {name: script for each in layout.programs.values() for name, script in each.scripts.items()}
    return {"supervisorctl": _script("supervisor", control)} | {
        name: _script(script.package, [str(script.file)]) for name, script in scripts.items()
    }


def _script(package: str | None, arguments: Sequence[str]) -> str:
    """Return a shell script that runs Python with one package, in the environment of any component."""
    # The servers' user may be unable to search for packages, so their folder is named.
    packages = shlex.quote(str(package_folder(package).parent) if package else "")
    return f'#!/bin/sh\nPYTHONPATH={packages} exec {shlex.join([sys.executable, "-P", *arguments])} "$@"\n'
