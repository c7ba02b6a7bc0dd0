"""Drive Docker Compose. The only module that talks to Docker.

python-on-whales is the client: it knows the binary, the project and the files, and carries out what needs
neither a time limit nor progress. Its reads are typed by an older Docker's answers and its streams can't be
bounded or cut off from standard input, so those go through its command line and `stack.engines.process`.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack.capabilities import Serve, Session
from stack.engines import process
from stack.engines.base import Traits
from stack.engines.compose import checks, mounts, render
from stack.engines.docker import client, failures, listening, memory
from stack.engines.docker.session import ContainerSession
from stack.engines.offline import RUN_WHILE_OPEN, run_offline
from stack.engines.process import CommandJob, Job
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding
from stack.instance import Instance
from stack.observed import ComponentState, Health, Leftovers, Listening, Observed
from stack.references import Reference
from stack.sources import ignore_text
from stack.state import State
from stack.workload import VolumeId

if TYPE_CHECKING:
    from python_on_whales import DockerClient

# `start_interval` came with Docker Engine 25 (API 1.44) and Compose 2.24.
_API = (1, 44)
# The clients that were asked already: to ask for the version of Compose takes 0.1 s, and no command sees it change.
_NEW_ENOUGH: set[str] = set()
_READ_TIMEOUT = 30.0
_EXAMINE_TIMEOUT = 10.0
# An image that a newer build took the name from has only its number.
_IMAGE_NAME = '{{if eq .Tag "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}'
# In the state of an instance: what runs is made from the one, what was found ready last from the other.
_CONFIGURATION = "compose/compose.yaml"
_GOOD = "compose/good.yaml"
_GOOD_TAG = "good"
_IMAGE_LABEL = "com.docker.compose.image"
# Of the containers of a project, those of its services, and those of `compose run`.
_SERVICES = ("--filter", "label=com.docker.compose.oneoff=False")
_ONE_OFF = ("--filter", "label=com.docker.compose.oneoff=True")
_BESIDE_ENDS_WITHIN = 60.0
_POLL = 0.1


class ComposeEngine:
    """An instance as a project of Docker Compose; see `stack.engines.base.Engine`."""

    name = "compose"
    traits = Traits(target="container", builds=True)

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        """`system_binaries` means nothing here: a container brings its own."""
        self._instance = instance
        self._file = instance.configuration / "compose.yaml"

    def check(self, within: float = 5) -> None:
        """Raises `docker-client`, `docker-daemon`, `docker-permission`, `docker-old`, `compose-missing`
        and `compose-old`."""
        docker = client.find()
        if docker in _NEW_ENOUGH:
            return
        server = client.read(["version", "--format", "{{.Server.APIVersion}}"], within)
        if failures.version_of(server)[:2] < _API:
            raise failures.too_old("docker-old", "Docker's API version", server.strip(), ".".join(map(str, _API)))
        compose = client.read(["compose", "version", "--short"], within)
        if failures.version_of(compose) < checks.COMPOSE:
            raise failures.too_old("compose-old", "Docker Compose", compose.strip(), ".".join(map(str, checks.COMPOSE)))
        _NEW_ENOUGH.add(docker)

    def examine(self, own: bool) -> Iterator[Finding]:
        asked = datetime.now(UTC)
        answer = client.run(["info", "--format", "{{json .}}"], _EXAMINE_TIMEOUT)
        info = _object(answer.stdout)
        docker = checks.Docker(info, answer.stderr, asked, datetime.now(UTC), _free(info.get("DockerRootDir", "")))
        found = tuple(checks.of_docker(docker))
        yield from found
        if all(finding.level != "fail" for finding in found):
            if own:
                yield from checks.of_images(self._image_times(), datetime.now(UTC))
            yield checks.of_orphans([each for each in self._labelled() if not Path(each.state).is_dir()])

    def _image_times(self) -> dict[str, datetime | None]:
        names = dict.fromkeys(render.images(self._instance).values())
        there = {tag: entry for entry in self._inspect([*names]) for tag in entry.get("RepoTags") or []}
        return {name: _time(there[_tag(name)]["Created"]) if _tag(name) in there else None for name in names}

    def _labelled(self) -> list[checks.Labelled]:
        """What there is of all instances on this machine."""
        found = []
        for kind, name, *listing in (
            ("container", "{{.Names}}", "ps", "--all"),
            ("network", "{{.Name}}", "network", "ls"),
            ("volume", "{{.Name}}", "volume", "ls"),
        ):
            layout = f'{name}\t{{{{.Label "{render.LABEL_STATE}"}}}}'
            filters = ["--filter", f"label={render.LABEL_STATE}", "--format", layout]
            lines = client.read([*listing, *filters], _EXAMINE_TIMEOUT).splitlines()
            found += [checks.Labelled(kind, *line.split("\t", 1)) for line in lines]
        return found

    def notices(self) -> tuple[str, ...]:
        return ()

    def observe(self) -> Observed:
        return Observed(self._states(self._inspect(self._container_ids())))

    def observe_all(self) -> Observed:
        ids = self._container_ids()
        images, volumes = render.images(self._instance), render.volumes(self._instance)
        names = [*dict.fromkeys([*images.values(), *volumes.values()])]
        if len(ids) < len(images):
            names = self._present(names)
        objects = self._inspect([*ids, *names])
        containers = [entry for entry in objects if "State" in entry]
        there = {tag: entry["Id"] for entry in objects for tag in entry.get("RepoTags") or []}
        return Observed(
            self._states(containers),
            images={name: there[_tag(image)] for name, image in images.items() if _tag(image) in there},
            stores=frozenset(
                [entry["Name"] for entry in objects if "Mountpoint" in entry]
                + [name for container in containers for name in _mounted(container, self._instance.project)]
            ),
        )

    def _states(self, containers: Sequence[Mapping[str, Any]]) -> dict[str, ComponentState]:
        """In the order of the declaration."""
        order = {name: position for position, name in enumerate(self._instance.stack.names)}
        return dict(sorted(map(_component_state, containers), key=lambda item: order.get(item[0], len(order))))

    def fields(self) -> Mapping[str, Fields]:
        return render.fields(self._instance)

    def stores(self) -> Mapping[VolumeId, str]:
        return render.volumes(self._instance)

    def memory(self, observed: Observed) -> Mapping[str, int]:
        return {
            name: used
            for name, component in observed.components.items()
            if component.process and (used := memory.of_container(component.process, component.id)) is not None
        }

    def all_stores(self) -> tuple[str, ...]:
        return self._list("volume", "ls", "--format", "{{.Name}}")

    def leftovers(self) -> Leftovers:
        return Leftovers(
            containers=self._list("ps", "--all", "--format", "{{.Names}}"),
            networks=self._networks(),
            volumes=self.all_stores(),
            images=self._list("image", "ls", "--format", _IMAGE_NAME),
        )

    def render(self) -> str:
        return render.render(self._instance)

    def environment(self) -> Mapping[str, str]:
        if not self._file.exists():
            self._recover_configuration()
        return {"COMPOSE_FILE": str(self._file), "COMPOSE_PROJECT_NAME": self._instance.project}

    def build(self) -> Job:
        self._write_configuration()
        for name in self._instance.stack.names:
            if (source := self._instance.source(name)) is not None:
                self._write_build(name, source)
        return self._compose_job(["build"])

    def apply(self, anew: Collection[str] = (), only: Collection[str] = ()) -> Job:
        self._write_configuration()
        self._await_beside()
        if anew:
            # Compose compares configurations, and those are as they were.
            client.read(self._compose_arguments(["rm", "--stop", "--force", *anew]), client.STOP_TIMEOUT)
        orphans = [] if only else ["--remove-orphans"]
        return self._compose_job(["up", "--detach", "--no-build", *orphans, "--quiet-pull", *only])

    def keep_good(self) -> None:
        self._state.write(_GOOD, self._file.read_text(encoding="utf-8"))
        for image in self._built_images():
            client.read(["image", "tag", image, f"{image}:{_GOOD_TAG}"], _READ_TIMEOUT)
        self._remove_spare_networks()

    def _remove_spare_networks(self) -> None:
        """Those of an earlier declaration, which Compose leaves: each holds one of Docker's few address ranges."""
        spare = set(self._networks()) - render.networks(self._instance)
        if spare:
            # Docker refuses for one that a container of the user's own is on: that one stays.
            client.run(["network", "rm", *sorted(spare)], _READ_TIMEOUT)

    def _networks(self) -> tuple[str, ...]:
        return self._list("network", "ls", "--format", "{{.Name}}")

    def has_good(self) -> bool:
        return (self._instance.state / _GOOD).exists()

    def restore_good(self) -> Job:
        self._state.write(_CONFIGURATION, (self._instance.state / _GOOD).read_text(encoding="utf-8"))
        for image in self._built_images():
            client.run(["image", "tag", f"{image}:{_GOOD_TAG}", image], _READ_TIMEOUT)
        return self._compose_job(["up", "--detach", "--no-build", "--remove-orphans"])

    def explain(self, job: Job) -> StackError:
        return failures.of_start(job.output, render.images(self._instance), client.failed("compose up", job.output))

    def explain_build(self, job: Job) -> StackError:
        error = failures.classify(
            job.output,
            "build-failed",
            "an image could not be built",
            "fix what the lines above name, and run `stackctl up` again; what ran before still runs",
        )
        built = [name for name in self._instance.stack.names if self._instance.source(name) is not None]
        return failures.of_build(job.output, built, error)

    def start(self) -> Job:
        self._await_beside()
        return self._compose_job(["start"])

    def stop(self, names: Collection[str] = ()) -> None:
        if not names:
            self._call("stop")
        else:
            client.read(self._compose_arguments(["stop", *names]), client.STOP_TIMEOUT)

    def down(self) -> None:
        self._call("down", remove_orphans=True)

    def destroy(self) -> None:
        # What is deleted need not end in order.
        self._call("down", remove_orphans=True, volumes=True, remove_images="local", timeout=0)
        # What an earlier declaration made and this one no longer names.
        left = self.leftovers()
        for kind, names in (
            (["container", "rm", "--force"], left.containers),
            (["network", "rm"], left.networks),
            (["volume", "rm"], left.volumes),
            (["image", "rm"], left.images),
        ):
            if names:
                client.read([*kind, *names], _READ_TIMEOUT)

    def has_data(self, component: str) -> bool:
        there = self.all_stores()
        return any(store in there for volume, store in self.stores().items() if volume.component == component)

    def renew_secrets(self) -> frozenset[str]:
        """The files of a container's secrets are those of the state, unless one was deleted while it ran."""
        running = [name for name, state in self.observe().components.items() if state.running]
        return mounts.stale(self._instance, running, lambda name, command: self.session(name).run(command))

    def session(self, component: str, state: ComponentState | None = None) -> ContainerSession:
        return ContainerSession(
            component, state.id if state else self._container_id(component), self._memory(component)
        )

    def _memory(self, component: str) -> int:
        return render.workload_of(self._instance, component).limits.memory * 2**20

    @contextlib.contextmanager
    def offline(self, component: str, serve: Serve) -> Iterator[Session]:
        self._await_beside()
        name = f"{self._instance.project}-{component}-beside"
        self._write_files()
        file = self._state.write("compose/beside.yaml", self.render())
        words = [render.resolve(self._instance, value) for value in serve.command]
        command = [
            "compose", "--file", str(file), "--project-name", self._instance.project,
            "run", "--rm", "--no-TTY", "--no-deps", "--quiet-pull", "--name", name, "--entrypoint", "sh",
            component, "-c", RUN_WHILE_OPEN, "sh", *words,
        ]  # fmt: skip

        def session(pid: int) -> Session:
            return ContainerSession(component, name, self._memory(component))

        with (
            open(self._instance.configuration / "beside.log", "wb") as log,
            run_offline(serve, session, client.command(command), client.environment(), log, _offline_failed) as opened,
        ):
            yield opened

    def _await_beside(self) -> None:
        """Until there is no server beside the instance any more that somebody left who was killed: it ends by itself.

        Two servers on one volume would destroy it, and in containers they do not see each other. One that was made
        and never started would stay for ever, and keep its volume and its name.
        """
        deadline = time.monotonic() + _BESIDE_ENDS_WITHIN
        pause = threading.Event()
        while left := self._list("ps", "--all", "--quiet", *_ONE_OFF):
            late = time.monotonic() > deadline
            if late or not self._list("ps", "--quiet", *_ONE_OFF):
                # Docker complains where it is removing it already.
                (client.read if late else client.run)(["container", "rm", "--force", *left], _READ_TIMEOUT)
            pause.wait(_POLL)

    def free_space(self) -> int | None:
        return _free(client.read(["info", "--format", "{{.DockerRootDir}}"], _EXAMINE_TIMEOUT).strip())

    def remove_store(self, store: str) -> None:
        self._await_beside()
        client.read(["volume", "rm", store], _READ_TIMEOUT)

    def version(self, component: str) -> int | None:
        return self._instance.stack[component].major

    def data_version(self, component: str) -> int | None:
        """Only a container could look into a volume."""
        return None

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        found = listening.of_container(state.process, state.id) if state.process else None
        port = render.port_number(self._instance, Reference(component, "port"))
        return None if found is None else Listening(found, port, inside=True)

    def log_lines(self, component: str | None, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        recent = [] if since is None else ["--since", since.astimezone(UTC).isoformat().replace("+00:00", "Z")]
        arguments = self._compose_arguments([*self._logs(component, tail), *recent])
        return tuple(client.read(arguments, _READ_TIMEOUT).splitlines())

    def follow_logs(self, component: str | None, tail: int | None, write: Callable[[str], None]) -> int:
        arguments = self._compose_arguments([*self._logs(component, tail), "--follow"])
        return process.stream(client.command(arguments), client.environment(), write)

    def _logs(self, component: str | None, tail: int | None) -> list[str]:
        which = [] if component is None else ["--no-log-prefix", component]
        return ["logs", "--no-color", "--tail", "all" if tail is None else str(tail), *which]

    @cached_property
    def _docker(self) -> DockerClient:
        # 0.2 s: only for what needs it.
        from python_on_whales import DockerClient

        return DockerClient(compose_files=[self._file], compose_project_name=self._instance.project)

    @property
    def _state(self) -> State:
        return State(self._instance.state)

    def _built_images(self) -> list[str]:
        names = render.images(self._instance)
        return [image for name, image in names.items() if self._instance.source(name) is not None]

    def _write_configuration(self) -> None:
        self._write_files()
        self._state.write(_CONFIGURATION, self.render())

    def _write_files(self) -> None:
        """Those that containers read, as users of their own: the folder of the state lets nobody else in."""
        for name in self._instance.stack.names:
            for file in render.workload_of(self._instance, name).files:
                path = self._instance.config_file(file.name)
                if not path.exists() or path.read_text(encoding="utf-8") != file.text:
                    self._state.write(str(path.relative_to(self._instance.state)), file.text, mode=0o444)

    def _write_build(self, name: str, source: Path) -> None:
        """A copy of its Dockerfile: BuildKit takes the rules of a `NAME.dockerignore` beside it for the context."""
        where = f"{self._instance.stack.name}/{name}/source"
        rules = ignore_text(source, self._instance.state.parent, where)
        dockerfile = (source / "Dockerfile").read_bytes().decode("utf-8", "surrogateescape")
        copy = self._instance.dockerfile(name).relative_to(self._instance.state)
        self._state.write(str(copy), dockerfile)
        self._state.write(f"{copy}.dockerignore", rules)

    def _recover_configuration(self) -> None:
        """What runs can be asked also when its state was lost; asking for what never was makes nothing."""
        if not self.observe().exists:
            raise StackError("instance-down", f"{self._instance.name} is not up", "run `stackctl up` first")
        self._write_configuration()

    def _call(self, verb: str, **options: Any) -> None:
        """Let python-on-whales carry out one verb of Compose."""
        from python_on_whales.exceptions import DockerException

        client.find()
        if not self._file.exists():
            self._write_configuration()
        if verb == "down":
            options["quiet"] = True
        try:
            getattr(self._docker.compose, verb)(**options)
        except DockerException as error:
            raise client.failed(verb, error.stderr or "") from error

    def _compose_job(self, arguments: Sequence[str]) -> Job:
        return CommandJob(client.command(self._compose_arguments(arguments)), client.environment())

    def _compose_arguments(self, arguments: Sequence[str]) -> list[str]:
        if not self._file.exists():
            self._recover_configuration()
        return ["compose", "--file", str(self._file), "--project-name", self._instance.project, *arguments]

    def _container_ids(self) -> tuple[str, ...]:
        return self._list("ps", "--all", "--quiet", *_SERVICES)

    def _container_id(self, component: str) -> str:
        """Of what does not run a name that Docker complains of."""
        service = f"label={render.LABEL_SERVICE}={component}"
        found = self._list("ps", "--quiet", "--filter", service, *_SERVICES)
        return next(iter(found), f"{self._instance.project}-{component}-1")

    def _list(self, *arguments: str) -> tuple[str, ...]:
        filters = ["--filter", f"label={render.LABEL_PROJECT}={self._instance.project}"]
        return tuple(client.read([*arguments, *filters], _READ_TIMEOUT).split())

    def _present(self, names: Sequence[str]) -> list[str]:
        """Those of the names that an image or a volume has.

        To inspect a name that nothing has is slow: Docker looks for a thing of each kind.
        """
        images = client.read(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], _READ_TIMEOUT).split()
        volumes = client.read(["volume", "ls", "--format", "{{.Name}}"], _READ_TIMEOUT).split()
        present = {*images, *volumes}
        return [name for name in names if name in present or _tag(name) in present]

    def _inspect(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Everything of these names, of whatever kind, in one question. What is gone or never was is left out."""
        if not names:
            return []
        answer = client.run(["inspect", *names], _READ_TIMEOUT)
        complaints = [line for line in answer.stderr.splitlines() if "no such" not in line.lower()]
        if not answer.ok and complaints:
            raise client.failed("inspect", answer.stderr)
        found: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
        return found


def _offline_failed(serve: Serve, output: str) -> StackError:
    return failures.classify(output, serve.failure.code, serve.failure.message, serve.failure.hint)


def _object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one of what is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _free(folder: str) -> int | None:
    """The bytes that are free where Docker keeps its data, if that is on this machine."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _component_state(container: Mapping[str, Any]) -> tuple[str, ComponentState]:
    """The service and the state of one entry of `docker container inspect`."""
    state, labels = container["State"], container["Config"]["Labels"]
    health = state.get("Health") or {}
    log = health.get("Log") or []
    return labels[render.LABEL_SERVICE], ComponentState(
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
        process=state["Pid"] or None,
        memory_limit=container["HostConfig"]["Memory"] or None,
        declaration=labels.get(render.LABEL_DECLARATION, ""),
        image_id=labels.get(_IMAGE_LABEL, container["Image"]),
        live=_live(container),
        health_at=_time(log[-1]["Start"]) if log else None,
    )


def _live(container: Mapping[str, Any]) -> dict[str, str]:
    """What `docker update` and `docker network disconnect` change without a new container, as `render` writes it."""
    host = container["HostConfig"]
    project = container["Config"]["Labels"].get(render.LABEL_PROJECT, "")
    networks = sorted(name.removeprefix(f"{project}_") for name in container["NetworkSettings"]["Networks"])
    return {
        "mem_limit": f"{host['Memory'] // 2**20}m",
        "cpus": f"{host['NanoCpus'] / 1e9:g}",
        "pids_limit": str(host["PidsLimit"]),
        "restart": host["RestartPolicy"]["Name"],
        "networks": shlex.join(networks),
    }


def _mounted(container: Mapping[str, Any], project: str) -> list[str]:
    """The named volumes of a container, also of one that is no longer declared."""
    names = [mount.get("Name", "") for mount in container["Mounts"] if mount["Type"] == "volume"]
    return [name for name in names if name.startswith(f"{project}_")]


def _tag(image: str) -> str:
    """The name of an image as Docker lists it: `docker.io/library/redis` is `redis:latest`."""
    name = image.removeprefix("docker.io/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


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
    """`2026-01-02T03:04:05.123456789+01:00`; the year 1 stands for never."""
    time = datetime.fromisoformat(text)
    return None if time.year == 1 else time
