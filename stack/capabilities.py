"""What a component can do beyond running, as protocols: an engine or a command knows a component by these alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Literal, Protocol, Self

from stack.errors import StackError
from stack.frozen import dataclass
from stack.references import SecretReference, Value
from stack.workload import Target

if TYPE_CHECKING:
    from datetime import datetime

    from stack.copying import OpenCopy
    from stack.initial import InitialFile
    from stack.migrations import Migration
    from stack.progress import Progress
    from stack.results.access import Inspected
    from stack.results.instances import Runs
    from stack.results.rehearsals import RehearsedMigration
    from stack.snapshots.archive import Archive, Writer
    from stack.snapshots.manifest import Saved
    from stack.snapshots.streams import Kind, Peekable
    from stack.style import Style


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

    def script(self, name: str, package: str, extra: str) -> Path:
        """Find the program that a package installs beside Python. `extra`: of stackctl's, which has that package.

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
    commands that `stackctl exec` finds besides, and that its own command may begin with. `major`: the major version, if
    that matters to its data.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    tools: tuple[Path, ...] = ()
    scripts: Mapping[str, Script] = field(default_factory=dict)
    major: int | None = None

    @property
    def folder(self) -> Path:
        """The folder of the first program, with what makes its data."""
        return next(iter(self.paths.values())).parent


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
        """Give the path of a file of `Component.process_files`."""

    def data(self, component: str) -> Path:
        """Give the folder of its volume, or the one that it works in."""

    @property
    def socket(self) -> Path:
        """The folder of the instance's unix sockets."""

    def run(self, component: str, command: Sequence[str], environment: Mapping[str, str]) -> Completed:
        """Run a program of a component, for some seconds at most. Raises `OSError`."""

    def execute(self, component: str, command: Sequence[str], timeout: float) -> Completed:
        """Run a command as the user of a component and with its environment. Raises `no-answer` after the timeout."""

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
    error if it does not, without the output. `role`: that of the component, to find the cause in the output.
    `stop_signal`: repeated until the server has ended.
    """

    command: tuple[Value, ...]
    ready: tuple[str, ...]
    failure: StackError
    role: str = ""
    stop_signal: str = "INT"


class Access(Protocol):
    """How a data store reaches the data of its component."""

    @property
    def target(self) -> Target: ...

    @property
    def foreign(self) -> bool:
        """Whether it is the data of a project that stackctl did not make."""

    @property
    def volumes(self) -> Mapping[str, str]:
        """The volumes of the component by their names, each with the engine's name for it."""

    def session(self, serve: Serve) -> AbstractContextManager[Session]:
        """A session in the component if it runs, else offline."""

    def offline(self, serve: Serve) -> AbstractContextManager[Session]: ...

    def read(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        """A tar of the files of a volume; the component does not run."""

    def write(self, volume: str) -> AbstractContextManager[IO[bytes]]:
        """Put the files of a tar into a new volume."""

    def free_space(self) -> int | None:
        """The bytes that are free where the data is, if that is known."""


class DataStore(Protocol):
    """Save the data of a component, and load it again, on any engine."""

    @property
    def product(self) -> str:
        """What serves it, for people: `PostgreSQL`."""

    @property
    def cold(self) -> bool:
        """Whether the component must not run while it is saved."""

    @property
    def portable(self) -> bool:
        """Whether what was saved of a container can be loaded for a process, and the reverse."""

    def identity(self) -> Mapping[str, str]:
        """Give the declared fields that data is made with: other values need other data."""

    def summary(self, access: Access) -> str:
        """Say for people what it holds, like `41 rows, 12 MB`; nothing if it does not answer."""

    def save(self, access: Access, archive: Writer, progress: Progress) -> Saved:
        """Save all of it, as of one moment. Raises `save-failed`, `query-failed` and `disk-full`."""

    def major(self, saved: Saved) -> int:
        """Give the major version that saved data is of, 0 if it has none.

        Raises `ValueError` for what `save` did not write, as `misfit` does.
        """

    def misfit(self, saved: Saved, major: int | None) -> tuple[str, str] | None:
        """Say why saved data can't be that of this component as version `major`, and what to do; None if it can."""

    def load(
        self, access: Access, archive: Archive, saved: Saved, password: str, accepts: bool, progress: Progress
    ) -> None:
        """Fill new volumes with what was saved, and compare what is in them then. The user has `password` afterwards.

        `accepts`: also without what can't be had here. Raises `restore-failed`, `restore-differs`, `query-failed`, and
        unless `accepts` `snapshot-loses`.
        """

    def copy(self, source: Access, opening: OpenCopy, progress: Progress) -> int:
        """Copy all of another instance's data, which may be in use, into new volumes, and give the bytes.

        What was acknowledged before is in the copy. Raises `branch-refused`, `branch-failed`, `query-failed`,
        `disk-full`.
        """

    def settle(self, access: Access, password: str) -> tuple[str, ...]:
        """Make of a copy data of its own, whose user has `password`, before anything uses it.

        Return what is otherwise than in what was copied, for people. Raises `branch-failed`.
        """


class Login(Protocol):
    """The account of a component that those who use it log in with."""

    @property
    def secret(self) -> SecretReference:
        """Its password."""

    def verify(self, session: Session, patience: float = 0) -> Completed:
        """Log in as those who use it do, with the declared names and the password.

        `patience`: for so many seconds it waits for a server that does not accept connections yet.
        """

    @property
    def account(self) -> str:
        """What is logged in to and as which user, for people."""

    def answers(self, session: Session) -> bool:
        """Whether it can be changed now, from inside."""

    def change(self, session: Session, password: str) -> Completed:
        """Give it another password, from inside, whether or not the old one is known."""


class Dumps(Protocol):
    """Write data out in the format of its own tools, and take it in."""

    @property
    def title(self) -> str:
        """What is written out, for people: the name of the database."""

    @property
    def others(self) -> tuple[str, ...]:
        """The databases that no dump holds, and that are empty in new data."""

    def serve(self, target: Target) -> Serve:
        """How its volume is served while the component does not run."""

    def dump(self, session: Session, kind: Kind, target: IO[bytes], packed: bool, progress: Progress) -> int:
        """Write it to `target`, which packs it or not; give the bytes. Raises `save-failed`."""

    def load(self, session: Session, plain: Peekable, kind: Kind, progress: Progress) -> int:
        """Take all of it in, in one transaction, or nothing; give the bytes. Raises `load-failed`."""

    def fill(self, access: Access, major: int, load: Callable[[Session], int], progress: Progress) -> None:
        """Serve a new volume, make what every database of the component has, and let `load` take in the rest."""


@dataclass(frozen=True)
class Pending:
    """What is to be done in a database before anything uses it. `databases` and `extensions`: the names of new ones."""

    databases: Sequence[str]
    extensions: Sequence[str]
    migrations: tuple[Migration, ...]


class Schema(Protocol):
    """What is made in a database before anything uses it."""

    @property
    def migrations(self) -> str | None:
        """The folder of its migrations, as it is declared."""

    @property
    def extensions(self) -> tuple[str, ...]: ...

    @property
    def user(self) -> str:
        """The declared user, which owns the database and no more."""

    @property
    def databases(self) -> tuple[str, ...]:
        """The further databases that the user owns."""

    @property
    def initial(self) -> str | None:
        """The folder of the files that a new database is made with, as it is declared."""

    def separate(self, session: Session, major: int) -> str | None:
        """Take from the user what it should not have; say for people what was done, None if nothing was."""

    def make_databases(self, session: Session, major: int, names: Sequence[str], progress: Progress) -> None:
        """Make those that are not there, with the extensions. Raises `database-failed`, and as `make_extensions`."""

    def make_extensions(self, session: Session, major: int, names: Sequence[str], progress: Progress) -> None:
        """Make them in all databases. Raises `extension-missing` and `extension-failed`."""

    def initialise(self, session: Session, files: Sequence[InitialFile], progress: Progress) -> tuple[str, ...]:
        """Run those files that have not run, and return their names. Raises `init-failed`."""

    def migrate(
        self, session: Session, migrations: tuple[Migration, ...], progress: Progress
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Apply those that it lacks: the checksums of all that it has had after that, and the names of the new ones.

        Raises `migration-failed`, `migration-blocked`, `migration-edited` and `migration-order`.
        """

    def rehearse(
        self, access: Access, major: int, pending: Pending, progress: Progress
    ) -> tuple[RehearsedMigration, ...]:
        """Do to a copy of its data all that is pending, and return how each migration went. Raises as they do."""


class Check(Protocol):
    """Ask a process whether it works, as an app would: a real question, and a time limit."""

    def problem(self, host: Host) -> str | None:
        """Say what is wrong with it; None if it is healthy."""


Ask = Callable[[str, Sequence[str], "float | None"], str]
"""Runs a command in the component of that name, with a time limit in seconds, and gives what it wrote.

Raises `query-failed`."""


@dataclass(frozen=True)
class Inspection:
    """What a component holds, for programs and for people."""

    data: Inspected
    text: Callable[[Style], str]


ClientKind = Literal["db", "cache"]


class Client(Protocol):
    """The programs with which a user works on a component."""

    @property
    def kind(self) -> ClientKind:
        """Which `stackctl inspect` shows it."""

    def shell(self, session: Session, write: bool, admin: bool) -> Sequence[str]:
        """Give the command of its interactive client, which changes nothing by a slip without `write`.

        `admin`: as the administrator of the server. Raises `UsageError` for a server that has none.
        """

    def inspect(self, ask: Ask, subject: str | None) -> Inspection:
        """Read what is declared to be shown, or the `subject`: a query or a key."""

    def environment(self, host: Host) -> Mapping[str, str]:
        """Give the variables with which they find it from this machine, and the password if it asks for one."""

    def local_environment(self, host: Host) -> Mapping[str, str]:
        """Give the variables with which they find it as the user that owns it, which needs no password."""


class Timetable(Protocol):
    """When a component does its work, and what it notes of that."""

    @property
    def record(self) -> Sequence[str]:
        """Give the command that prints, in the component, what it has noted."""

    def read(self, noted: str, now: datetime) -> Runs:
        """Tell its runs from what it has noted, and when the next one is."""


class DataFolder(Protocol):
    """What a process makes by itself of the folder of its volume."""

    def problem(self, folder: Path, programs: Programs) -> tuple[str, str] | None:
        """Give the error code and message of a folder that these programs must not be started on, else None."""

    def major(self, folder: Path) -> int | None:
        """Give the major version that made it; None if it holds no data."""

    def in_use(self, folder: Path) -> bool:
        """Say whether a server runs on it."""
