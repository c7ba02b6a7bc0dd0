"""The engine of the unit tests: its components and data are values in memory.

It runs whole commands quickly, stops one before any of its steps, or shows prepared observations one after the other.
"""

from __future__ import annotations

import contextlib
import copy
import io
import shlex
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Self

from stack.capabilities import Completed, Pipe, Serve, Session
from stack.components.postgres import Postgres
from stack.copying import FileCopy
from stack.engines.base import Engine, Local, LogLine, LogQuery, Revisions, Volumes
from stack.engines.docker import resolving
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.process import FinishedJob, Job
from stack.errors import StackError
from stack.fields import Fields, fingerprint
from stack.findings import Finding
from stack.instance import Instance
from stack.observed import ComponentState, Listening, Observed, Resources
from stack.references import SecretReference
from stack.state import State
from stack.workload import Target, VolumeId
from tests.unit.clocks import FakeClock

DONE = Completed(0, "", "")
# When each job ends.
ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of files by their paths."""
    with io.BytesIO() as written:
        with tarfile.open(fileobj=written, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return written.getvalue()


@dataclass
class Store:
    """The data of a database: `rows` stands for all of it. `password` is what its role has."""

    version: int
    password: str
    rows: int = 0


@dataclass
class World:
    """All that exists. `step` is called before each look and each change, with its name.

    `mounted`: the store that each database was started on. `files`: a tar of each volume that belongs to no database,
    by its store; `stopped`: what was stopped while each was read. `scenes`: what looks show, one after the other and
    the last for ever, in place of `components`; `shown` counts them. `log`: the lines that each component wrote, and
    `lines` those of all; `read_since` notes from when they were read last. `answer`: how a command in a component ends,
    and `ends` how each job does that does not end with 0. `beside`: the worlds of other instances, by their names.
    """

    components: dict[str, ComponentState] = field(default_factory=dict)
    mounted: dict[str, str] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    stopped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    started: int = 0
    step: Callable[[str], None] = lambda name: None
    scenes: Sequence[Observed] = ()
    shown: int = 0
    log: Sequence[str] = ()
    lines: Sequence[LogLine] = ()
    local: Local = field(default_factory=lambda: Local({}, None))
    read_since: datetime | None = None
    answer: Completed = DONE
    ends: dict[str, int] = field(default_factory=dict)
    listens: Listening | None = None
    beside: dict[str, World] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)

    def copy(self) -> World:
        stores, files = copy.deepcopy(self.stores), dict(self.files)
        return World(dict(self.components), dict(self.mounted), stores, files, started=self.started)

    def look(self) -> Observed:
        self.shown += 1
        if self.scenes:
            return self.scenes[min(self.shown, len(self.scenes)) - 1]
        return Observed(dict(self.components), mounted=frozenset(self.mounted.values()))


@dataclass
class FakeJob:
    """A job that runs for so many looks, and then ends with `exit_code`; a clock moves meanwhile."""

    clock: FakeClock
    looks: int = 0
    exit_code: int = 0
    failure: StackError = field(default_factory=lambda: StackError("port-taken", "as the engine says"))
    output: str = ""

    def wait(self, seconds: float) -> int | None:
        self.looks -= 1
        if self.looks < 0:
            return self.exit_code
        self.clock.wait(seconds)
        return None

    def explain(self) -> StackError:
        return self.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to end."""


class FakeSession:
    """A session on a store. Its queries are `PASSWORD new`, of a role that gets one, or do nothing."""

    memory = None

    def __init__(self, component: str, world: World, store: Store | None = None, target: Target = "process") -> None:
        self.component = component
        self.target = target
        self._world = world
        self._store = store

    @property
    def store(self) -> Store:
        assert self._store is not None, f"there is no data of {self.component}"
        return self._store

    def run(self, command: Sequence[str], timeout: float | None = 30) -> Completed:
        self._world.step("query")
        for word in command:
            if "PASSWORD " in word:
                self.set_password(word)
        return self._world.answer

    def set_password(self, statement: str) -> None:
        self.store.password = statement.rpartition("PASSWORD ")[2]

    def pipe(self, command: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        raise NotImplementedError

    def attach(self, command: Sequence[str]) -> int:
        raise NotImplementedError

    def secret(self, secret: SecretReference) -> str:
        return secret.id


class FakeVolumes(Volumes):
    """The stores of a world."""

    def __init__(self, world: World, instance: Instance) -> None:
        self._world = world
        self._instance = instance

    def declared(self) -> Mapping[VolumeId, str]:
        volumes = [volume for each in self._instance.stack for volume in each.workload("container").volumes]
        return {volume.id: self._instance.store_name(volume) for volume in volumes}

    def existing(self) -> tuple[str, ...]:
        self._world.step("all stores")
        return (*self._world.stores, *self._world.files)

    def remove(self, name: str) -> None:
        self._world.step("remove store")
        assert name not in self._world.mounted.values(), "a store in use is deleted"
        del (self._world.files if name in self._world.files else self._world.stores)[name]

    def read(self, volume: VolumeId) -> AbstractContextManager[IO[bytes]]:
        store, states = self.declared()[volume], self._world.components
        self._world.stopped[store] = tuple(name for name, state in states.items() if not state.running)
        return io.BytesIO(self._world.files[store])

    @contextlib.contextmanager
    def write(self, volume: VolumeId) -> Iterator[IO[bytes]]:
        with io.BytesIO() as written:
            yield written
            self._world.files[self.declared()[volume]] = written.getvalue()

    @contextlib.contextmanager
    def copying(self, source: Instance, volume: VolumeId) -> Iterator[FileCopy]:
        self._world.step(f"copy {volume}")
        theirs, ours = FakeVolumes(self._world, source).declared()[volume], self.declared()[volume]
        yield FakeCopy(self._world, self._world.beside.get(source.name, self._world), theirs, ours)

    def version(self, component: str) -> int | None:
        store = self._world.stores.get(self.declared().get(VolumeId(component), ""))
        return store.version if store else None


@dataclass(frozen=True)
class FakeCopy:
    """Copies the store of one world into another; see `stack.copying.FileCopy`."""

    world: World
    source: World
    theirs: str
    ours: str
    clones: bool = True
    free: int | None = None

    def size(self, leave_out: Collection[str] = ()) -> int:
        return 1000

    def copy(self, folder: str = "", leave_out: Collection[str] = ()) -> None:
        self.world.step("copy files")
        if self.theirs in self.source.stores:
            self.world.stores[self.ours] = copy.deepcopy(self.source.stores[self.theirs])
        else:
            self.world.files[self.ours] = self.source.files[self.theirs]

    def copy_files(self, folder: str, names: Sequence[str]) -> None:
        raise NotImplementedError

    def read(self, path: str) -> str | None:
        return None

    def write(self, path: str, text: str) -> None:
        raise NotImplementedError


def _databases(instance: Instance) -> list[Postgres]:
    return [each for each in instance.stack if isinstance(each, Postgres)]


class FakeRevisions(Revisions):
    """No revision is ever saved: there is no going back here."""

    def save(self) -> None:
        """Forget it."""

    def exists(self) -> bool:
        return False

    def restore(self, only: Collection[str] = ()) -> Job:
        raise NotImplementedError


class FakeEngine(Engine):
    """See `stack.engines.base.Engine`. It has the name and the traits of the engine that it is `like`."""

    def __init__(self, world: World, instance: Instance, like: type[Engine] = EmbeddedEngine) -> None:
        self.name = like.name
        self.traits = like.traits
        self._world = world
        self._instance = instance

    def check(self, within: float = 5) -> None:
        self._world.step("check")

    def examine(self, own: bool) -> Iterator[Finding]:
        yield from ()

    def render(self) -> str:
        return ""

    def environment(self) -> Mapping[str, str]:
        return {}

    def variables(self, component: str) -> Mapping[str, str]:
        return resolving.variables(self._instance, component)

    def log_lines(self, component: str, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        self._world.read_since = since
        return tuple(f"{component}: {line}" for line in self._world.log)

    def read_logs(self, query: LogQuery) -> Sequence[LogLine]:
        return [
            line
            for line in self._world.lines
            if line.component in (query.names or self._instance.stack.names)
            and (query.since is None or line.time is None or line.time >= query.since)
        ]

    def follow_logs(self, query: LogQuery, write: Callable[[LogLine], None]) -> int:
        for line in self.read_logs(query):
            write(line)
        return 0

    def observe(self) -> Observed:
        self._world.step("observe")
        return self._world.look()

    def observe_all(self) -> Observed:
        self._world.step("observe all")
        return replace(self._world.look(), stores=frozenset([*self._world.stores, *self._world.files]))

    def memory(self, observed: Observed) -> Mapping[str, int]:
        return {name: used for name, used in self._world.memory.items() if name in observed.components}

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        return self._world.listens

    def fields(self) -> Mapping[str, Fields]:
        fields: dict[str, Fields] = {name: {"name": name} for name in self._instance.stack.names}
        for database in self._databases():
            store = self.volumes.declared()[VolumeId(database.name)]
            fields[database.name] = {"version": str(self.version(database.name)), "store": store}
        for job in self._instance.stack.jobs:
            command = self._instance.stack.workload(job, self.traits.target).command
            fields[job] = {"command": " ".join(map(str, command or ()))}
        return fields

    @property
    def volumes(self) -> FakeVolumes:
        return FakeVolumes(self._world, self._instance)

    @property
    def revisions(self) -> FakeRevisions:
        return FakeRevisions()

    def resources(self) -> Resources:
        self._world.step("resources")
        stores = (*self._world.stores, *self._world.files)
        return Resources(containers=tuple(self._world.components), volumes=stores)

    def apply(self, recreate: Collection[str] = (), only: Collection[str] = (), made: Collection[str] = ()) -> Job:
        for name, fields in self.fields().items():
            if name in (only or set(self._instance.stack.names).difference(self._instance.stack.jobs)):
                self._world.step(f"apply {name}")
                self._make(name, fingerprint(fields), name in recreate)
        return FinishedJob()

    def _make(self, name: str, declaration: str, recreate: bool) -> None:
        world, database = self._world, self._instance.stack[name]
        if isinstance(database, Postgres):
            store = world.stores.get(self.volumes.declared()[VolumeId(name)])
            if store is None:
                store = world.stores[self.volumes.declared()[VolumeId(name)]] = Store(
                    self.version(database.name), self._password(database)
                )
            if store.version != self.version(database.name):
                raise StackError("data-version", "the server can't read this data")
            world.mounted[name] = self.volumes.declared()[VolumeId(name)]
        else:
            for volume in self._instance.stack.workload(name, "container").volumes:
                world.files.setdefault(self._instance.store_name(volume), tar_of({}))
        made = world.components.get(name)
        if name in self._instance.stack.jobs:
            world.started += 1
            world.components[name] = ComponentState(
                str(world.started), "exited", "none", 0, world.ends.get(name, 0), False, None, "",
                declaration=declaration, once=True, ended=ENDED,
            )  # fmt: skip
        elif made is None or made.declaration != declaration or recreate or not made.running:
            world.started += 1
            world.components[name] = ComponentState(
                str(world.started), "running", "healthy", 0, 0, False, None, "", declaration=declaration
            )

    def start(self, names: Collection[str] = ()) -> Job:
        there = [(name, state) for name, state in self._world.components.items() if not state.once]
        for name, state in [(name, state) for name, state in there if name in (names or self._instance.expected)]:
            self._world.step(f"start {name}")
            self._make(name, state.declaration, False)
        return FinishedJob()

    def stop(self, names: Collection[str] = ()) -> None:
        for name, state in list(self._world.components.items()):
            if not names or name in names:
                self._world.step(f"stop {name}")
                self._world.components[name] = replace(state, state="exited", health="none")

    def down(self) -> None:
        self._world.step("down")
        self._world.components.clear()
        self._world.mounted.clear()

    def destroy(self) -> None:
        self.down()
        self._world.step("destroy")
        self._world.stores.clear()
        self._world.files.clear()

    def renew_secrets(self) -> Mapping[str, str]:
        return {}

    def session(self, component: str, state: ComponentState | None = None) -> FakeSession:
        self._world.step("session")
        store = self._world.stores.get(self.volumes.declared().get(VolumeId(component), ""))
        return FakeSession(component, self._world, store, self.traits.target)

    def run_one_off(self, component: str, command: Sequence[str], capture: bool) -> Completed:
        self._world.step(f"run {shlex.join(command)} beside {component}")
        return self._world.answer

    def local(self, component: str) -> AbstractContextManager[Local]:
        self._world.step(f"local {component}")
        return contextlib.nullcontext(self._world.local)

    @contextlib.contextmanager
    def offline(self, component: str, serve: Serve) -> Iterator[Session]:
        self._world.step("offline")
        database = self._instance.stack[component]
        assert isinstance(database, Postgres)
        new = Store(self.version(component), self._password(database))
        self._world.stores.setdefault(self.volumes.declared()[VolumeId(component)], new)
        yield self.session(component)

    def version(self, component: str) -> int:
        return self._instance.stack[component].major or 18

    def password_fits(self) -> bool:
        """Whether each database has the password that is in its secret's file."""
        stores = self.volumes.declared()
        return all(
            self._world.stores[stores[VolumeId(each.name)]].password == self._password(each)
            for each in self._databases()
        )

    def _password(self, database: Postgres) -> str:
        return State(self._instance.state).secret(database.password.id).reveal()

    def _databases(self) -> list[Postgres]:
        return _databases(self._instance)
