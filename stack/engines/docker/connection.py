"""Connect to the Docker daemon of a server: one SSH connection, through which the daemon's socket appears here.

The connection is a process of OpenSSH that goes on in the background for a minute after the last command used it, so
that the next one need not log in again. Commands that run at the same time share it.

One command never connects twice: if its connection is cut, all that follows in it raises `connection-lost`. The next
command observes first, as each does, and so continues from what there is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from stack.engines import process
from stack.engines.docker import api, failures, ssh
from stack.engines.docker.ssh import Server
from stack.errors import StackError
from stack.frozen import dataclass
from stack.locks import attempt

_IDLE = 60
_AT_ONCE = 8
_OPENED_WITHIN = 40.0
_ANSWERED_WITHIN = 30.0
_STILL_THERE_WITHIN = 5.0
_LOCK_INTERVAL = 0.05
_USUAL_SOCKET = "/var/run/docker.sock"
_UNIX = "unix://"
# The exit code of a shell for a command that does not exist.
_NO_COMMAND = 127
# What would change how the client reaches the socket.
CLIENT_VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True)
class _Connection:
    """`path`: the daemon's socket, as it appears here. `held`: a connection to it that is used for nothing.

    While that is open the process in the background stays, however long a question to the user takes; and it ends at
    the moment at which the connection is cut.
    """

    path: str
    held: socket.socket

    @property
    def cut(self) -> bool:
        if self.held.fileno() < 0:
            return True
        try:
            return self.held.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


_connections: dict[str, _Connection] = {}
_opening: dict[str, threading.Lock] = defaultdict(threading.Lock)


def socket_of(host: str) -> str:
    """Return the path at which the daemon of a server is reached, and connect to it if this command has not yet.

    Raises `connection-lost`, and what keeps it from being reached: see `stack.engines.docker.ssh`.
    """
    with _opening[host]:
        if host not in _connections:
            _connections[host] = _connect(Server.parse(host))
        if _connections[host].cut:
            raise ssh.cut(host)
        return _connections[host].path


class _Unix(HTTPConnection):
    """A connection for HTTP to a socket of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class DistantDaemon(api.Daemon):
    """The daemon of a server: what is asked next goes over the same connections, each of which took a round trip."""

    idle: list[_Unix] = field(default_factory=list, compare=False, repr=False)

    def get_each(
        self, paths: Sequence[str], timeout: float, query: Mapping[str, str] | None = None
    ) -> list[api.Answer | None]:
        """Ask at once: each question takes a round trip."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [*pool.map(lambda path: self.get(path, timeout, query), paths)]

    def _exchange(self, asked: str, timeout: float) -> tuple[bytes, bytes]:
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = _Unix(self.path)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request("GET", asked)
            response = connection.getresponse()
            body = response.read()
        except HTTPException as error:
            connection.close()
            raise OSError("no answer that makes sense") from error
        except OSError:
            connection.close()
            raise
        self.idle.append(connection)
        return str(response.status).encode(), body


@functools.cache
def daemon_at(path: str) -> DistantDaemon:
    """Return the daemon of a server that is reached at a path."""
    return DistantDaemon(path)


def is_cut(host: str | None) -> bool:
    """Whether this command had a connection to a server that was cut."""
    return host in _connections and _connections[host].cut


def give_up(host: str) -> None:
    """Let the connection of this command count as cut."""
    if host in _connections:
        _connections[host].held.close()


def folder() -> Path:
    """Return the folder of the sockets, which only this user can enter. Their paths must be short.

    Raises `state-unusable` for a folder that is not this user's.
    """
    path = Path(f"/tmp/stackctl-ssh-{os.geteuid()}")  # noqa: S108 - checked below
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise StackError(
            "state-unusable",
            f"{path}: is not a folder that only this user can enter",
            "see what it is; stackctl needs this name for its connections to servers",
        )
    return path


def key(server: Server) -> str:
    """Name what belongs to a server in the folder of the sockets."""
    return hashlib.sha256(str(server).encode()).hexdigest()[:12]


def run_ssh(server: Server, command: list[str], log: Path) -> None:
    """Run an ssh that goes on in the background once it is connected. Raises what it stands for if it fails."""
    if shutil.which(command[0]) is None:
        raise ssh.missing()
    log.write_bytes(b"")
    try:
        # What stays in the background would keep a pipe open.
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_OPENED_WITHIN,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise ssh.failed(server, f"Connection timed out after {_OPENED_WITHIN:g} s") from None
    if ended.returncode:
        raise ssh.failed(server, log.read_text(encoding="utf-8", errors="replace"))


def _connect(server: Server) -> _Connection:
    base = folder() / key(server)
    path, control, log, lock = (base.with_suffix(each) for each in (".docker", ".control", ".log", ".lock"))
    while True:
        with attempt(lock) as held:
            if held:
                found = _hold(path) if _answers(path, _STILL_THERE_WITHIN) else None
                if found is None:
                    _open(server, control, path, log)
                    found = _hold(path)
                if found is None:
                    raise ssh.failed(server, log.read_text(encoding="utf-8", errors="replace"))
                return _Connection(str(path), found)
        threading.Event().wait(_LOCK_INTERVAL)


def _open(server: Server, control: Path, path: Path, log: Path) -> None:
    """Connect, and let the daemon's socket appear at a path."""
    with contextlib.suppress(FileNotFoundError):
        # It may be one whose process was killed.
        process.run(ssh.end(server, control), os.environ, _ANSWERED_WITHIN)
        control.unlink()
    run_ssh(server, ssh.open_master(server, control, log, _IDLE), log)
    there = server.socket or _daemon_socket(server, control)
    forwarding = process.run(ssh.forward_socket(server, control, path, there), os.environ, _ANSWERED_WITHIN)
    if not forwarding.ok or not _answers(path, _ANSWERED_WITHIN):
        process.run(ssh.end(server, control), os.environ, _ANSWERED_WITHIN)
        raise ssh.failed(server, forwarding.stderr or f"forwarding failed: {there} gives no answer through SSH")


def _daemon_socket(server: Server, control: Path) -> str:
    """Return the path of the socket at which the docker client of the server reaches its daemon.

    Raises `server-without-docker`, or what keeps that client from its daemon.
    """
    asked = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    found = process.run(ssh.run_on(server, control, asked), os.environ, _ANSWERED_WITHIN)
    if found.exit_code == _NO_COMMAND:
        raise ssh.without_docker(server, found.stderr)
    answers = ["docker", "version", "--format", "{{.Server.Version}}"]
    answer = process.run(ssh.run_on(server, control, answers), os.environ, _ANSWERED_WITHIN)
    if not answer.ok:
        problem = failures.classify(answer.stderr, "docker-daemon", "the Docker daemon does not answer", "look there")
        raise StackError(problem.code, f"on {server}: {problem.message}", problem.hint, problem.output)
    address = found.stdout.strip()
    return address.removeprefix(_UNIX) if address.startswith(_UNIX) else _USUAL_SOCKET


def _answers(path: Path, within: float) -> bool:
    """Whether a daemon is reached at a path: a connection may have died unnoticed, as while a laptop slept."""
    try:
        return daemon_at(str(path)).get("/version", within) is not None
    except StackError:
        return False


def _hold(path: Path) -> socket.socket | None:
    """Connect to a socket that something listens at."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection
