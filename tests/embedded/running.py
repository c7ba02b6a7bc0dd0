"""Instances of the embedded engine for tests, driven as `up` drives them, and gone without a trace afterwards."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack import WebApp
from stack.declaration import load_stack
from stack.engines.embedded import accounts
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.embedded.layout import Home, home_of
from stack.engines.embedded.start_log import read_start_log
from stack.engines.embedded.user import acting_as, make_private
from stack.errors import StackError
from stack.instance import Instance, default_project
from stack.model import Stack
from stack.observed import Observed
from stack.progress import Silence
from stack.settings import PLAYGROUND
from stack.state import State
from stack.verdict.watch import Verdict, await_ready
from stack.workload import PortId
from tests.cli import eventually, get
from tests.ports import own_port


@dataclass
class Running:
    """One instance of the playground, or of `stack`, in `folder`."""

    folder: Path
    name: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=own_port)
    stack: Stack = field(default_factory=lambda: load_stack(PLAYGROUND))

    @property
    def instance(self) -> Instance:
        state = self.folder / ".stackctl" / self.name
        project = default_project(self.name, state)
        return Instance(self.name, project, self.stack, PLAYGROUND.parent, state, {PortId("web"): self.port})

    @property
    def engine(self) -> EmbeddedEngine:
        return EmbeddedEngine(self.instance)

    @property
    def home(self) -> Home:
        return home_of(self.instance)

    def up(self, timeout: float = 60) -> Verdict:
        """As `stackctl up` does it."""
        engine = self.engine
        engine.check()
        with State(self.instance.state).locked():
            before = engine.observe()
            for secret in self.stack.secrets("container"):
                self.make_secret(secret.id)
            try:
                with engine.apply() as job:
                    return await_ready(self.instance, engine, job, before, timeout, Silence())
            except StackError as error:
                # What pytest shows of an error is its message alone.
                error.add_note(error.output)
                raise

    def observe(self) -> Observed:
        return self.engine.observe()

    def states(self) -> dict[str, str]:
        return {name: component.state for name, component in self.observe().components.items()}

    def ids(self) -> dict[str, str]:
        return {name: component.id for name, component in self.observe().components.items()}

    @property
    def answers(self) -> bool:
        """Whether the app and what it uses work, without a visit."""
        return get(f"http://127.0.0.1:{self.port}/health")[0] == 200

    def visit(self) -> int:
        status, answer = get(f"http://127.0.0.1:{self.port}/")
        assert status == 200, answer
        return int(answer["visits"])

    def make_secret(self, name: str) -> None:
        State(self.instance.state).provide_secret(name)

    def make_home(self, folder: Path) -> None:
        """The folders down to one in the home, as the engine makes them."""
        if os.getuid() == 0:
            accounts.make_home(self.home.folder)
        else:
            self.home.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_as = accounts.run_as_of(self.home.folder)
        with acting_as(run_as):
            for part in (*reversed(folder.parents), folder):
                if part.is_relative_to(self.home.folder):
                    make_private(part, run_as)

    def secret(self, name: str) -> str:
        return State(self.instance.state).secret(name).reveal()

    def process(self, name: str) -> int:
        """The process of a component, or of `supervisord`."""
        return int((self.home.run(name)).read_text().splitlines()[-1].split()[0])

    def processes(self) -> list[int]:
        """All that belong to the instance, found by its home in what the kernel knows of them."""
        mark = os.fsencode(self.home.folder)
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            known = _read(entry / "cmdline") + _read(entry / "environ") + _folder_of(entry)
            if mark in known and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def kill_all(self) -> None:
        """As a power failure would: everything at once, until nothing is left."""

        def none_left() -> bool:
            for process in (processes := self.processes()):
                kill(process)
            runs = self.home.runs.iterdir() if self.home.runs.is_dir() else ()
            return not processes and all(read_start_log(run).pid is None for run in runs)

        eventually(none_left, every=0.02)

    def destroy(self) -> None:
        self.engine.destroy()
        state = State(self.instance.state)
        with state.locked():
            state.delete()
        eventually(lambda: not self.processes())


def kill(process: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _folder_of(process: Path) -> bytes:
    try:
        return os.fsencode(os.readlink(process / "cwd"))
    except OSError:
        return b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """An instance that is gone afterwards, however the test ends."""
    made = Running(folder)
    try:
        yield made
    finally:
        try:
            made.destroy()
        finally:
            made.kill_all()


def app(folder: Path) -> WebApp:
    """Return an app that gives the files of a folder."""
    return WebApp("web", source=str(folder), command=["python3", "-m", "http.server", "0"])


def is_well(one: Running) -> bool:
    return all(state.state == "running" for state in one.observe().components.values())


def main(words: list[str]) -> None:
    """Bring an instance up, visit it and delete it, as another user than the one that tests."""
    with running(Path(words[0])) as one:
        one.up()
        assert one.visit() == 1
        assert one.engine.session("cache").run(["redis-cli", "GET", "visit_counter:homepage"]).stdout == "1\n"
        owners = {Path(f"/proc/{process}").stat().st_uid for process in one.processes()}
        modes = {oct(path.stat().st_mode & 0o777) for path in (one.home.folder, one.home.runtime, one.home.secrets)}
        print(owners, modes)


if __name__ == "__main__":
    main(sys.argv[1:])
