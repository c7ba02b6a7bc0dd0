"""What a component can do beyond running, as protocols: an engine or a command knows a component by these alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from stack.errors import StackError
from stack.references import SecretReference, Value
from stack.workload import Target


@dataclass(frozen=True)
class Completed:
    """How a command ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class ProgramSearch(Protocol):
    """Find programs on this machine: in Python packages, or on request on PATH."""

    @property
    def system(self) -> bool:
        """Whether to look on PATH, and not in packages."""

    def in_package(self, module: str, pattern: str, package: str) -> Path:
        """Find the program that matches `pattern` in the folder of `module`, which `package` installs.

        Raises `binaries-missing`.
        """

    def on_path(self, names: Sequence[str], folders: Iterable[Path] = ()) -> Path:
        """Find the first of `names` on PATH, or in `folders`. Raises `binaries-missing`."""

    def version(self, program: Path, pattern: str, oldest: int) -> int:
        """Give the major version that a program says it is, by the group of `pattern`.

        Raises `binaries-old` for one that is older than `oldest`.
        """


@dataclass(frozen=True)
class Script:
    """A Python file that is a command of its own. `package`: what it imports, None for the standard library alone."""

    file: Path
    package: str | None = None


@dataclass(frozen=True)
class Programs:
    """The programs of a component on this machine.

    `paths`: by the name with which its command begins. `tools`: the folders of its clients, for a PATH. `scripts`: the
    commands that `stackctl exec` finds besides. `major`: the major version, if that matters to its data.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    tools: tuple[Path, ...] = ()
    scripts: Mapping[str, Script] = field(default_factory=dict)
    major: int | None = None


class Host(Protocol):
    """This machine, as a component finds it that runs as a process: where things are, and how it is asked."""

    @property
    def address(self) -> str:
        """The address that all of its processes listen on."""

    def port(self, component: str, name: str = "") -> int:
        """Give the number of a port: the named one, or the first."""

    def secret_file(self, secret: SecretReference) -> Path: ...

    def secret(self, secret: SecretReference) -> str: ...

    def file(self, component: str, name: str) -> Path:
        """Give the path of a file of `Component.files`."""

    def data(self, component: str) -> Path:
        """Give the folder of its volume, or the one that it works in."""

    @property
    def socket(self) -> Path:
        """The folder of the instance's unix sockets."""

    def run(self, component: str, command: Sequence[str], environment: Mapping[str, str]) -> Completed:
        """Run a program of a component, for some seconds at most. Raises `OSError`."""

    def exchange(self, port: int, request: bytes, lines: int) -> bytes:
        """Send bytes to a port, and read so many lines. Raises `OSError`."""


class Pipe(Protocol):
    """A command whose standard input or output, or both, are ours, as bytes. Leaving the `with` block ends it."""

    @property
    def input(self) -> IO[bytes]: ...

    @property
    def output(self) -> IO[bytes]: ...

    @property
    def complaint(self) -> str:
        """What it wrote to standard error."""

    def finish(self, limit: float | None = None) -> int:
        """Give it no more input, and wait for its end: its exit code. Raises `TimeoutError`."""

    def end(self) -> None:
        """Interrupt it, and kill it if it does not heed that."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Session(Protocol):
    """A way to run commands in a component, or offline on its volume; its clients need no password there."""

    @property
    def component(self) -> str: ...

    @property
    def target(self) -> Target: ...

    @property
    def memory(self) -> int | None:
        """The bytes beyond which the engine ends what runs there, if there is such a limit."""

    def run(self, command: Sequence[str], timeout: float | None = 30) -> Completed:
        """Run a command and capture what it writes; it reads nothing. Raises `no-answer` after `timeout` seconds."""

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        """Start a command, and feed it or take from it."""

    def attach(self, command: Sequence[str]) -> int:
        """Run a command on this process's own streams; give its exit code."""

    def secret(self, secret: SecretReference) -> str:
        """Give the path of a secret's file there."""


@dataclass(frozen=True)
class Serve:
    """How a volume is served while its component does not run.

    `command` takes the place of the component's own, and `ready` is one that succeeds once it serves. `failure` is the
    error if it does not, without the output.
    """

    command: tuple[Value, ...]
    ready: tuple[str, ...]
    failure: StackError


class Check(Protocol):
    """Ask a process whether it works, as an app would: a real question, and a time limit."""

    def problem(self, host: Host) -> str | None:
        """Say what is wrong with it; None if it is healthy."""


class Client(Protocol):
    """The programs with which a user works on a component."""

    def environment(self, host: Host) -> Mapping[str, str]:
        """Give the variables with which they find it from this machine, and the password if it asks for one."""

    def local_environment(self, host: Host) -> Mapping[str, str]:
        """Give the variables with which they find it as the user that owns it, which needs no password."""


class DataFolder(Protocol):
    """What a process makes by itself of the folder of its volume."""

    def problem(self, folder: Path, programs: Programs) -> tuple[str, str] | None:
        """Give the error code and message of a folder that these programs must not be started on, else None."""

    def major(self, folder: Path) -> int | None:
        """Give the major version that made it; None if it holds no data."""

    def in_use(self, folder: Path) -> bool:
        """Say whether a server runs on it."""
