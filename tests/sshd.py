"""A real OpenSSH server on loopback, whose user reaches the Docker daemon of the tests, with keys of its own.

What `ssh` reads on this machine is of its own too: a folder to put in front of PATH has an `ssh` that takes the
configuration of this server and no other.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack.engines.docker import connection, ssh
from tests.ports import own_port
from tests.servers import eventually

NAME = "server.test"
_PROGRAM = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
MISSING = (
    None
    if _PROGRAM and shutil.which("ssh") and shutil.which("ssh-keygen")
    else "there is no sshd: install OpenSSH's server (`apt-get install openssh-server`)"
)
# Nothing of this exists: what would reach the daemon of this machine by itself fails.
_NO_DAEMON = "unix:///nonexistent/docker.sock"


@dataclass
class Server:
    """`folder`: where its keys, its configuration and its log are."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> ssh.Server:
        return ssh.Server(NAME, port=self.port)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which a command reaches the server, and the daemon of this machine in no other way."""
        return {
            "STACKCTL_HOST": str(self.server),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "DOCKER_HOST": _NO_DAEMON,
        }

    def prepare(self) -> None:
        for key in ("host", "user"):
            self.make_key(key)
        self.allow("user")
        self.know()
        self._write("config", [
            f"Host {NAME}", "HostName 127.0.0.1", f"Port {self.port}", f"User {getpass.getuser()}",
            f"IdentityFile {self.folder}/user", "IdentitiesOnly yes", "IdentityAgent none",
            f"UserKnownHostsFile {self.folder}/known", "GlobalKnownHostsFile /dev/null",
        ])  # fmt: skip
        (self.folder / "bin").mkdir()
        program = self._write("bin/ssh", ["#!/bin/sh", f'exec {shutil.which("ssh")} -F {self.folder}/config "$@"'])
        program.chmod(0o755)

    def start(self, *options: str) -> None:
        self._write("sshd_config", [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.folder}/host", "PidFile none",
            f"AuthorizedKeysFile {self.folder}/allowed", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "AcceptEnv none", *options,
        ])  # fmt: skip
        if os.geteuid() == 0:
            # Where a server of root confines what has not logged in yet.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            command = [str(_PROGRAM), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(self._answers, "sshd to listen")

    def stop(self) -> None:
        """End it, and every connection to it."""
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def cut(self) -> None:
        """Cut every connection, as a network does that goes away."""
        if self.process is not None:
            for each in psutil.Process(self.process.pid).children(recursive=True):
                # A daemon's own processes are none of its; what a connection runs goes with it.
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()

    def freeze(self) -> None:
        """Let every connection die unnoticed, as one does while a laptop sleeps."""
        if self.process is not None:
            for each in psutil.Process(self.process.pid).children(recursive=True):
                each.suspend()

    @property
    def connections(self) -> int:
        return len(psutil.Process(self.process.pid).children()) if self.process is not None else 0

    def make_key(self, name: str) -> None:
        for path in (self.folder / name, self.folder / f"{name}.pub"):
            path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def allow(self, *keys: str) -> None:
        """Let those log in that have one of these keys, and nobody else."""
        self._write("allowed", [(self.folder / f"{key}.pub").read_text(encoding="utf-8").strip() for key in keys])

    def know(self) -> None:
        """Let this machine know the host key that the server has now."""
        kind, key = (self.folder / "host.pub").read_text(encoding="utf-8").split()[:2]
        self._write("known", [f"[127.0.0.1]:{self.port} {kind} {key}"])

    def forget(self) -> None:
        """Let this machine know no host key."""
        self._write("known", [])

    def _write(self, name: str, lines: list[str]) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            return client.recv(4) == b"SSH-"


@functools.cache
def shared() -> Server:
    """Serve until the end of this process."""
    ending = contextlib.ExitStack()
    atexit.register(ending.close)
    folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="stackctl-sshd-"))
    return ending.enter_context(serving(Path(folder)))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve for a block."""
    server = Server(folder, own_port())
    server.prepare()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        for left in connection.folder().glob(f"{connection.key(server.server)}.*"):
            left.unlink(missing_ok=True)
