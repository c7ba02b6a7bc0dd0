"""Drive Docker Compose. The only module that talks to Docker.

python-on-whales is the client: it knows the binary, the project and the files, and carries out what needs
neither a time limit nor progress. Its reads are typed by an older Docker's answers and its streams can't be
bounded or cut off from standard input, so those go through its command line and `stack.engines.process`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stack.engines import process
from stack.engines.compose import failures
from stack.engines.compose.render import LABEL_PROJECT, render
from stack.engines.process import CommandJob, Completed, Job
from stack.errors import StackError
from stack.instance import Instance
from stack.model import Container
from stack.observed import ComponentState, Health, Leftovers, Observed
from stack.state import State

if TYPE_CHECKING:
    from python_on_whales import DockerClient

# `start_interval` came with Docker Engine 25 (API 1.44) and Compose 2.24.
_COMPOSE = (2, 24, 0)
_API = (1, 44)
_READ_TIMEOUT = 30.0
# An image that a newer build took the name from has only its number.
_IMAGE_NAME = '{{if eq .Tag "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}'
_SERVICE_LABEL = "com.docker.compose.service"


class ComposeEngine:
    """An instance as a project of Docker Compose; see `stack.engines.base.Engine`."""

    name = "compose"
    builds = True

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        """`system_binaries` means nothing here: a container brings its own."""
        self._instance = instance
        self._file = instance.configuration / "compose.yaml"

    def check(self, within: float = 5) -> None:
        """Raises `docker-client`, `docker-daemon`, `docker-permission`, `docker-old`, `compose-missing`
        and `compose-old`."""
        server = self._read(["version", "--format", "{{.Server.APIVersion}}"], within)
        if failures.version_of(server)[:2] < _API:
            raise failures.too_old("docker-old", "Docker's API version", server.strip(), ".".join(map(str, _API)))
        compose = self._read(["compose", "version", "--short"], within)
        if failures.version_of(compose) < _COMPOSE:
            raise failures.too_old("compose-old", "Docker Compose", compose.strip(), ".".join(map(str, _COMPOSE)))

    def observe(self) -> Observed:
        ids = self._list("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.oneoff=False")
        if not ids:
            return Observed({})
        # A container may be gone between the two questions: `inspect` then still answers for the others.
        answer = self._run(["container", "inspect", *ids], _READ_TIMEOUT)
        if not answer.ok and "no such container" not in answer.stderr.lower():
            raise self._failed("container inspect", answer.stderr)
        states = [_component_state(container) for container in json.loads(answer.stdout or "[]")]
        order = {name: position for position, name in enumerate(self._instance.stack.names)}
        return Observed(dict(sorted(states, key=lambda item: order.get(item[0], len(order)))))

    def leftovers(self) -> Leftovers:
        return Leftovers(
            containers=self._list("ps", "--all", "--format", "{{.Names}}"),
            networks=self._list("network", "ls", "--format", "{{.Name}}"),
            volumes=self._list("volume", "ls", "--format", "{{.Name}}"),
            images=self._list("image", "ls", "--format", _IMAGE_NAME),
        )

    def render(self) -> str:
        return render(self._instance)

    def environment(self) -> Mapping[str, str]:
        if not self._file.exists():
            self._recover_configuration()
        return {"COMPOSE_FILE": str(self._file), "COMPOSE_PROJECT_NAME": self._instance.project}

    def build(self) -> Job:
        self._write_configuration()
        return self._compose_job(["build"])

    def apply(self) -> Job:
        self._write_configuration()
        return self._compose_job(["up", "--detach", "--no-build", "--remove-orphans", "--quiet-pull"])

    def explain(self, job: Job) -> StackError:
        return self._failed("compose up", job.output)

    def explain_build(self, job: Job) -> StackError:
        return failures.classify(
            job.output,
            "build-failed",
            "an image could not be built",
            "mend what the lines above name, and run `stackctl up` again; what ran before still runs",
        )

    def start(self) -> Job:
        return self._compose_job(["start"])

    def stop(self) -> None:
        self._call("stop")

    def down(self) -> None:
        self._call("down", remove_orphans=True)

    def destroy(self) -> None:
        self._call("down", remove_orphans=True, volumes=True, remove_images="local")
        # What an earlier declaration made and this one no longer names.
        left = self.leftovers()
        for kind, names in (
            (["container", "rm", "--force"], left.containers),
            (["network", "rm"], left.networks),
            (["volume", "rm"], left.volumes),
            (["image", "rm"], left.images),
        ):
            if names:
                self._read([*kind, *names], _READ_TIMEOUT)

    def has_data(self, component: str) -> bool:
        mounted = {f"{self._instance.project}_{volume.name}" for volume in self._container(component).volumes}
        return not mounted.isdisjoint(self._list("volume", "ls", "--format", "{{.Name}}"))

    def run(self, component: str, command: Sequence[str], limit: float | None = _READ_TIMEOUT) -> Completed:
        arguments = self._compose_arguments(["exec", "--no-TTY", component, *command])
        try:
            return process.run(self._command(arguments), self._environment, limit)
        except TimeoutError as error:
            raise StackError(
                "no-answer",
                f"{component} gave no answer in {limit:g} s",
                f"look at `stackctl status` and `stackctl logs {component}`",
            ) from error

    def attach(self, component: str, command: Sequence[str]) -> int:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        plain = [] if terminal else ["--no-TTY"]
        return process.attach(
            self._command(self._compose_arguments(["exec", *plain, component, *command])), self._environment
        )

    def log_lines(self, component: str | None, tail: int | None) -> tuple[str, ...]:
        arguments = self._compose_arguments(self._logs(component, tail))
        return tuple(self._read(arguments, _READ_TIMEOUT).splitlines())

    def follow_logs(self, component: str | None, tail: int | None) -> int:
        arguments = self._compose_arguments([*self._logs(component, tail), "--follow"])
        return process.attach(self._command(arguments), self._environment)

    def _container(self, component: str) -> Container:
        return self._instance.stack[component].container()

    def _logs(self, component: str | None, tail: int | None) -> list[str]:
        which = [] if component is None else ["--no-log-prefix", component]
        return ["logs", "--no-color", "--tail", "all" if tail is None else str(tail), *which]

    @cached_property
    def _docker(self) -> DockerClient:
        # 0.2 s: only for what needs it.
        from python_on_whales import DockerClient

        return DockerClient(compose_files=[self._file], compose_project_name=self._instance.project)

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        """The user's own, for contexts and proxies, less what would change the project behind our back."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
        # An attestation holds the time: every build would give a new image, and each `up` a new container.
        return own | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDKIT_PROGRESS": "plain", "COMPOSE_ANSI": "never"}

    def _write_configuration(self) -> None:
        State(self._instance.state).write("compose/compose.yaml", self.render())

    def _recover_configuration(self) -> None:
        """What runs can be asked also when its state was lost; asking for what never was makes nothing."""
        if not self.observe().exists:
            raise StackError("instance-down", f"{self._instance.name} is not up", "run `stackctl up` first")
        self._write_configuration()

    def _call(self, verb: str, **options: Any) -> None:
        """Let python-on-whales carry out one verb of Compose."""
        from python_on_whales.exceptions import DockerException

        self._find_client()
        if not self._file.exists():
            self._write_configuration()
        if verb == "down":
            options["quiet"] = True
        try:
            getattr(self._docker.compose, verb)(**options)
        except DockerException as error:
            raise self._failed(verb, error.stderr or "") from error

    def _compose_job(self, arguments: Sequence[str]) -> Job:
        return CommandJob(self._command(self._compose_arguments(arguments)), self._environment)

    def _compose_arguments(self, arguments: Sequence[str]) -> list[str]:
        if not self._file.exists():
            self._recover_configuration()
        return ["compose", "--file", str(self._file), "--project-name", self._instance.project, *arguments]

    def _list(self, *arguments: str) -> tuple[str, ...]:
        filters = ["--filter", f"label={LABEL_PROJECT}={self._instance.project}"]
        return tuple(self._read([*arguments, *filters], _READ_TIMEOUT).split())

    def _read(self, arguments: Sequence[str], timeout: float) -> str:
        answer = self._run(arguments, timeout)
        if not answer.ok:
            raise self._failed(" ".join(arguments[:2]), answer.stderr or answer.stdout)
        return answer.stdout

    def _run(self, arguments: Sequence[str], timeout: float) -> Completed:
        try:
            return process.run(self._command(arguments), self._environment, timeout)
        except TimeoutError as error:
            raise failures.daemon_silent(str(error)) from error

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [self._find_client(), *arguments]

    def _find_client(self) -> str:
        client = shutil.which("docker")
        if client is None:
            raise failures.client_missing()
        return client

    def _failed(self, what: str, text: str) -> StackError:
        return failures.classify(
            text, "docker-failed", f"`docker {what}` failed", "read Docker's own words above; --debug shows more"
        )


def _component_state(container: Mapping[str, Any]) -> tuple[str, ComponentState]:
    """The service and the state of one entry of `docker container inspect`."""
    state = container["State"]
    health = state.get("Health") or {}
    log = health.get("Log") or []
    return container["Config"]["Labels"][_SERVICE_LABEL], ComponentState(
        id=container["Id"],
        state=state["Status"],
        health=_health(state["Status"], health.get("Status")),
        restarts=container["RestartCount"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        since=_time(state["StartedAt"]),
        image=container["Config"]["Image"],
        port=_published(container),
        health_output=log[-1].get("Output", "").strip() if log else "",
    )


def _health(status: str, health: str | None) -> Health:
    """A container that does not run has no health: the engine keeps the last one (moby/moby)."""
    if status != "running":
        return "none"
    return {"starting": "starting", "healthy": "healthy", "unhealthy": "unhealthy"}.get(health or "", "none")  # type: ignore[return-value]


def _published(container: Mapping[str, Any]) -> int | None:
    """From `{"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}`, which also a stopped container has."""
    for bindings in (container["HostConfig"].get("PortBindings") or {}).values():
        for binding in bindings or []:
            return int(binding["HostPort"])
    return None


def _time(text: str) -> datetime | None:
    """`2026-01-02T03:04:05.123456789Z`; the year 1 stands for never."""
    time = datetime.fromisoformat(text[:19] + "+00:00")
    return None if time.year == 1 else time
