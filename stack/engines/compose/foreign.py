"""Read the data of a Compose project that stackctl did not make. Nothing of it is changed.

A database that runs is asked in its container. For one that does not, its data is copied into a volume that is deleted
again, and served there by its own image: what is in the original stays as it is, byte for byte.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import IO, Any

from stack.capabilities import Serve, Session
from stack.engines import process
from stack.engines.compose import render
from stack.engines.compose.arguments import SERVICES, of_project
from stack.engines.docker import arguments, client
from stack.engines.docker.labels import LABEL_INSTANCE
from stack.engines.docker.objects import READ_TIMEOUT, container_ids, inspect
from stack.engines.docker.session import ContainerSession
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.frozen import dataclass

_READY_WITHIN = 120.0
_POLL = 0.2
# Ends otherwise than any copy for what is no folder.
_COPY = "[ -d /from ] || exit 99; cp -a /from/. /to/"
_NO_FOLDER = 99


@dataclass(frozen=True)
class ForeignProject:
    """The containers of a project, by the names of its services; see `stack.engines.base.Foreign`.

    `host`: the server that it is on; None for the daemon that the user's environment means.
    """

    name: str
    containers: Mapping[str, Mapping[str, Any]]
    host: str | None = None

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.containers)

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(service for service in self.containers if self._runs(service))

    def store(self, service: str, target: str) -> str | None:
        """Return the volume, or the folder of this machine, that a service has at a path."""
        mounts = self.containers[service]["Mounts"]
        found = next((each for each in mounts if each["Destination"].rstrip("/") == target.rstrip("/")), None)
        return None if found is None else str(found.get("Name") or found["Source"])

    @contextlib.contextmanager
    def session(self, service: str, serve: Serve) -> Iterator[Session]:
        """Yield a session in the container of a service, or in one on a copy of its data."""
        container = self.containers[service]
        if self._runs(service):
            yield ContainerSession(service, container["Id"], host=self.host)
            return
        with _removing(self.name, self.host) as made:
            copy = _serve(container, _copied(container, made), made)
            session = ContainerSession(service, copy, host=self.host)
            _await(session, copy, serve)
            yield session

    @contextlib.contextmanager
    def read(self, service: str, target: str) -> Iterator[IO[bytes]]:
        """Yield a tar of the files that a service has at a path. Docker reads them also if it does not run."""
        command = client.command(arguments.copy_out(self.containers[service]["Id"], target))
        with Pipe(command, client.environment(self.host), take=True) as pipe:
            yield pipe.output
            if pipe.finish():
                problem = f"{self.name}: {target} of {service} can't be read"
                raise StackError("save-failed", problem, "see what Docker says", pipe.complaint)

    def _runs(self, service: str) -> bool:
        return bool(self.containers[service]["State"]["Status"] == "running")


def find_project(name: str, host: str | None = None) -> ForeignProject:
    """Find the containers of a project, one of each service. Raises `project-unknown` if there is none."""
    containers: dict[str, Mapping[str, Any]] = {}
    for each in inspect(container_ids(of_project(name), SERVICES, host=host), host=host):
        labels = each["Config"]["Labels"]
        if LABEL_INSTANCE in labels:
            raise StackError(
                "project-unknown", f"{name} is an instance of stackctl", "`stackctl snapshot restore` takes its data"
            )
        containers.setdefault(labels[render.LABEL_SERVICE], each)
    if not containers:
        raise StackError(
            "project-unknown",
            f"Docker has no container of a Compose project {name!r}, running or stopped",
            "`docker compose ls --all` lists the projects; `docker compose create` makes the containers of one that is "
            "down, which need not run",
        )
    return ForeignProject(name, containers, host)


@dataclass(frozen=True)
class _Made:
    """The names of what is removed again: each is noted before it is made, so that nothing is left behind."""

    project: str
    host: str | None
    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def container(self) -> str:
        self.containers.append(self._new_name())
        return self.containers[-1]

    def volume(self) -> str:
        self.volumes.append(self._new_name())
        return self.volumes[-1]

    def remove(self) -> None:
        if self.containers:
            client.run(["rm", "--force", "--volumes", *self.containers], client.STOP_TIMEOUT, host=self.host)
        if self.volumes:
            client.run(["volume", "rm", "--force", *self.volumes], READ_TIMEOUT, host=self.host)

    def _new_name(self) -> str:
        return f"stackctl-adopt-{self.project}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def _removing(project: str, host: str | None) -> Iterator[_Made]:
    """Remove at the end of the block what it made, also if Ctrl-C comes twice: it holds a copy of all of the data."""
    made = _Made(project, host)
    try:
        yield made
    finally:
        with process.held_back(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as came:
            made.remove()
        for number in came[:1]:
            signal.raise_signal(number)


def _copied(container: Mapping[str, Any], made: _Made) -> Sequence[str]:
    """Copy each mount of a container into a new volume; return the options that mount the copies."""
    options: list[str] = []
    for mount in container["Mounts"]:
        if mount["Type"] not in ("volume", "bind"):
            continue
        as_it_is = ["--volume", f"{mount['Source']}:{mount['Destination']}:ro"]
        if mount["Type"] == "bind" and made.host is None and not Path(mount["Source"]).is_dir():
            options += as_it_is
            continue
        volume = made.volume()
        client.read(arguments.create_volume(volume, {}), READ_TIMEOUT, host=made.host)
        source = mount.get("Name") or mount["Source"]
        command = [
            "run", "--rm", "--name", made.container(), "--network", "none", "--user", "0:0", "--entrypoint", "sh",
            "--volume", f"{source}:/from:ro", "--volume", f"{volume}:/to", container["Image"], "-c", _COPY,
        ]  # fmt: skip
        copied = client.run(command, client.STOP_TIMEOUT, host=made.host)
        if copied.exit_code == _NO_FOLDER and mount["Type"] == "bind":
            options += as_it_is
            continue
        if not copied.ok:
            raise client.failed("run", copied.stderr or copied.stdout, made.host)
        options += ["--volume", f"{volume}:{mount['Destination']}"]
    return options


def _serve(container: Mapping[str, Any], mounts: Sequence[str], made: _Made) -> str:
    """Start a container like this one on other volumes and without a network; return its name."""
    configured = container["Config"]
    variables = dict(each.partition("=")[::2] for each in configured["Env"] or ())
    named = [word for name in variables for word in ("--env", name)]
    entry = configured["Entrypoint"] or []
    words = [*entry[1:], *(configured["Cmd"] or [])]
    name = made.container()
    command = [
        "run", "--detach", "--name", name, "--network", "none", *mounts, *named,
        *(["--entrypoint", entry[0]] if entry else []), container["Image"], *words,
    ]  # fmt: skip
    # The values are in the environment of the client: arguments can be read by every user.
    client.read(command, client.STOP_TIMEOUT, variables, made.host)
    return name


def _await(session: ContainerSession, container: str, serve: Serve) -> None:
    deadline, pause = time.monotonic() + _READY_WITHIN, threading.Event()
    while not session.run(serve.ready).ok:
        (state,) = inspect([container], host=session.host)
        if state["State"]["Status"] != "running" or time.monotonic() > deadline:
            said = client.run(["logs", "--tail", "15", container], READ_TIMEOUT, host=session.host)
            raise StackError(serve.failure.code, serve.failure.message, serve.failure.hint, said.stdout + said.stderr)
        pause.wait(_POLL)
