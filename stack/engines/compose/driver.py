"""Drive Docker Compose: the engine for an instance as a project of containers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from stack.capabilities import Completed, Serve, Session
from stack.engines import process
from stack.engines.base import Engine, Foreign, Local, LogLine, LogQuery, Revisions, Traits, Tunnel, Volumes
from stack.engines.compose import files, log_lines, machine, mounts, offline, one_off, remote, render
from stack.engines.compose.arguments import SERVICES, Project, of_project, of_service
from stack.engines.compose.observe import observed
from stack.engines.compose.revisions import ComposeRevisions
from stack.engines.compose.volumes import ComposeVolumes, give_to_users
from stack.engines.docker import client, failures, listening, memory, processor, removal, resolving
from stack.engines.docker.builds import write_builds
from stack.engines.docker.objects import (
    READ_TIMEOUT,
    container_ids,
    container_names,
    image_names,
    inspect,
    network_names,
)
from stack.engines.docker.session import ContainerSession
from stack.engines.process import CommandJob, FinishedJob, Job
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding
from stack.instance import Instance, not_up, takes_datagrams
from stack.observed import ComponentState, Listening, Observed, Resources
from stack.progress import Progress
from stack.state import State


class ComposeEngine(Engine):
    """An instance as a project of Docker Compose; see `stack.engines.base.Engine`."""

    name = "compose"
    traits = Traits(
        target="container",
        builds=True,
        program="Docker",
        unspecific="docker-failed",
        unreachable=frozenset({"docker-client", "docker-daemon", "docker-permission"}),
        serves=True,
    )

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        """Ignore `system_binaries`: a container brings its own."""
        self._instance = instance
        self._file = instance.configuration / files.CONFIGURATION
        self._own = of_project(instance.project)
        self._host = instance.host

    # The machine

    def check(self, within: float = 5) -> None:
        machine.check(within, self._host)

    def examine(self, own: bool) -> Iterator[Finding]:
        return machine.examine(self._instance, own)

    @contextlib.contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        if self._host is None:
            yield
            return
        # Only for a server is it loaded.
        from stack.engines.docker import lock

        try:
            with lock.locked(self._host, self._instance.project, progress):
                yield
        finally:
            if not State(self._instance.state).exists():
                lock.remove_image(self._host)

    def notices(self) -> tuple[str, ...]:
        stack = self._instance.stack
        ports = [port.typed for port in self._instance.ports if self._host and takes_datagrams(stack, port)]
        told = f"{', '.join(ports)}: UDP does not go through SSH, so it is reached on {self._host} alone"
        return (told,) if ports else ()

    # What is declared

    def fields(self) -> Mapping[str, Fields]:
        return render.fields(self._instance)

    def render(self) -> str:
        return render.render(self._instance)

    def variables(self, component: str) -> Mapping[str, str]:
        return resolving.variables(self._instance, component)

    def version(self, component: str) -> int | None:
        return self._instance.stack[component].major

    def environment(self) -> Mapping[str, str]:
        project = self._project
        named = {"COMPOSE_FILE": str(project.file), "COMPOSE_PROJECT_NAME": project.name}
        return named if self._host is None else {**named, "DOCKER_HOST": self._host}

    def newest(self, images: Sequence[str]) -> Mapping[str, str]:
        # It takes a while to import, and one command asks.
        from stack.engines.docker.registries import digests

        return digests(images, self._host)

    def foreign(self, project: str) -> Foreign:
        from stack.engines.compose.foreign import find_project

        return find_project(project, self._host)

    # What exists

    def observe(self) -> Observed:
        return observed(self._instance, inspect(self._container_ids(), host=self._host))

    def observe_all(self) -> Observed:
        # A group that is off may have data all the same.
        stores = resolving.volumes(replace(self._instance, stack=self._instance.stack.whole))
        images = {**dict.fromkeys(render.images(self._instance).values()), **dict.fromkeys(self._instance.pins)}
        return observed(self._instance, inspect(self._container_ids(), [*images], [*stores.values()], self._host))

    def _memory(self, replicas: Sequence[ComponentState]) -> Mapping[str, int]:
        if self._host is not None:
            return memory.of_remote_containers([each.id for each in replicas if each.running], self._host)
        used = {each.id: memory.of_container(each.process, each.id) for each in replicas if each.process}
        return {id_: amount for id_, amount in used.items() if amount is not None}

    def processor_demand(self, state: ComponentState) -> float | None:
        return processor.of_container(state.process, state.id) if state.process else None

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        return listening.of_component(self._instance, component, self._listening(component, state))

    def _listening(self, component: str, state: ComponentState) -> frozenset[tuple[str, int]] | None:
        if self._host is None:
            return listening.of_container(state.process, state.id) if state.process else None
        return listening.of_session(self.session(component, state)) if state.running else None

    @property
    def tunnel(self) -> Tunnel | None:
        if self._host is None:
            return None
        # Only for a server is it loaded.
        from stack.engines.docker import tunnel

        instance = self._instance
        wanted = [port for name, port in instance.ports.items() if not takes_datagrams(instance.stack, name)]
        return tunnel.Tunnel(self._host, instance.project, remote.address(instance.project), instance.state, wanted)

    def _close_tunnel(self) -> None:
        if (tunnel := self.tunnel) is not None:
            tunnel.close()

    @property
    def volumes(self) -> Volumes:
        return ComposeVolumes(self._instance)

    def resources(self) -> Resources:
        return Resources(
            containers=container_names(self._own, host=self._host),
            networks=network_names(self._own, host=self._host),
            volumes=self.volumes.existing(),
            images=image_names(self._own, host=self._host),
        )

    def log_lines(self, component: str, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        command = self._project.logs([component], tail, since, named=False)
        return tuple(client.read(command, READ_TIMEOUT, host=self._host).splitlines())

    def read_logs(self, query: LogQuery) -> Sequence[LogLine]:
        command = self._project.logs(query.names, query.tail, query.since)
        lines = client.read(command, READ_TIMEOUT, host=self._host).split("\n")
        return log_lines.in_order(line for each in lines if (line := self._log_line(each)) is not None)

    def follow_logs(self, query: LogQuery, write: Callable[[LogLine], None]) -> int:
        def pass_on(printed: str) -> None:
            if (line := self._log_line(printed)) is not None:
                write(line)

        command = self._project.logs(query.names, query.tail, query.since, follow=True)
        exit_code = process.stream(client.command(command), client.environment(self._host), pass_on)
        if exit_code:
            client.check_connection(self._host)
        return exit_code

    def _log_line(self, printed: str) -> LogLine | None:
        return log_lines.parsed(printed, self._instance.stack.replicas)

    # Changes

    def build(self, names: Collection[str] = ()) -> Job:
        files.write_configuration(self._instance)
        write_builds(self._instance)
        return self._start(self._project.build(names), self._explain_build)

    def fetch(self) -> Job:
        files.write_configuration(self._instance)
        there = self.observe_all().images
        missing = [name for name in self._instance.stack.names if name not in there and not self._is_built(name)]
        return self._start(self._project.pull(missing)) if missing else FinishedJob()

    def _is_built(self, component: str) -> bool:
        return resolving.workload_of(self._instance, component).image is None

    def apply(self, recreate: Collection[str] = (), only: Collection[str] = (), made: Collection[str] = ()) -> Job:
        files.write_configuration(self._instance)
        offline.await_offline_servers(self._instance)
        if recreate:
            # Compose recreates only what is configured differently, and these are not.
            self._end(self._project.remove(recreate))
        give_to_users(self._instance)
        if only:
            return self._start(self._project.up(only, orphans=False))
        stack = self._instance.stack
        if not stack.jobs and not made:
            return self._start(self._project.up())
        # Compose would run each job again that a service depends on, and look for half a second at what is healthy.
        there = self.observe().components if made else {}
        left = [name for name in stack.lasting if not (name in made and name in there and there[name].well)]
        return self._start(self._project.up(left) if left else self._project.remove_orphans())

    def start(self, names: Collection[str] = ()) -> Job:
        offline.await_offline_servers(self._instance)
        instance = self._instance
        if not names and not instance.stack.jobs and not instance.stopped:
            return self._start(self._project.start())
        wanted = names or instance.expected
        there = [name for name, state in self.observe().components.items() if name in wanted and not state.once]
        return self._start(self._project.start(there)) if there else FinishedJob()

    def stop(self, names: Collection[str] = ()) -> None:
        self._ensure_configuration()
        if not names:
            self._close_tunnel()
        self._end(self._project.stop(names))

    def down(self) -> None:
        self._ensure_configuration()
        self._close_tunnel()
        self._end(self._project.down())

    def destroy(self) -> None:
        self._ensure_configuration()
        self._close_tunnel()
        self._end(self._project.down(data=True))
        # What an earlier declaration made and this one no longer names.
        left = self.resources()
        removal.remove_containers(left.containers, self._host)
        removal.remove_networks(left.networks, self._host)
        removal.remove_volumes(left.volumes, self._host)
        removal.remove_images(left.images, self._host)
        if self._host is not None:
            from stack.engines.compose.carrying import remove

            remove(self._instance)

    def renew_secrets(self) -> Mapping[str, str]:
        """Find outdated secrets: a container sees the files of the state, unless one was deleted while it ran."""
        if self._host is not None:
            from stack.engines.compose.carrying import carry

            carry(self._instance)
        stale = mounts.stale(
            self._instance, self.observe(), lambda name, state, command: self.session(name, state).run(command)
        )
        return dict.fromkeys(stale, "the file of its secret was deleted while it ran")

    @property
    def revisions(self) -> Revisions:
        return ComposeRevisions(self._instance, lambda names: self._start(self._project.up_again(names)))

    # Commands in a component

    def session(self, component: str, state: ComponentState | None = None) -> ContainerSession:
        return self._session_in(component, state.first.id if state else self._container_id(component))

    def run_one_off(self, component: str, command: Sequence[str], capture: bool) -> Completed:
        return one_off.run_one_off(self._instance, self._project, component, command, capture)

    def local(self, component: str) -> AbstractContextManager[Local]:
        from stack.engines.compose.local import local

        return local(self._instance, component, self._container_id)

    def offline(self, component: str, serve: Serve) -> AbstractContextManager[Session]:
        return offline.serve_offline(
            self._instance, component, serve, lambda container: self._session_in(component, container)
        )

    def _session_in(self, component: str, container: str) -> ContainerSession:
        limit = resolving.workload_of(self._instance, component).limits.memory * 2**20
        return ContainerSession(component, container, limit, self._host)

    def _container_ids(self) -> tuple[str, ...]:
        return container_ids(SERVICES, self._own, host=self._host)

    def _container_id(self, component: str) -> str:
        """Return the id of a container that runs; for any other a name that Docker refuses in its own words."""
        found = container_ids(of_service(component), SERVICES, self._own, stopped=False, host=self._host)
        return next(iter(found), f"{self._instance.project}-{component}-1")

    @property
    def _project(self) -> Project:
        """The project with its file. What runs can be asked after its state was lost, so the file is written again.

        Raises `instance-down` if there is neither a file nor a container: asking must not create a state.
        """
        if not self._file.exists():
            if not self.observe().exists:
                raise not_up(self._instance)
            files.write_configuration(self._instance)
        return Project(self._instance.project, self._file)

    def _ensure_configuration(self) -> None:
        """Write the project file if there is none: Compose reads it also to stop or remove."""
        client.find()
        if not self._file.exists():
            files.write_configuration(self._instance)

    def _end(self, command: Sequence[str]) -> None:
        """Run a command that gives each container its time to stop: one after the other, if they use each other."""
        names = self._instance.stack.names
        grace = sum(resolving.workload_of(self._instance, name).stop_grace for name in names)
        client.read(command, client.STOP_TIMEOUT + grace, host=self._host)

    def _start(self, command: Sequence[str], explain: Callable[[str], StackError] | None = None) -> Job:
        return CommandJob(client.command(command), client.environment(self._host), explain or self._explain_start)

    def _explain_start(self, output: str) -> StackError:
        return failures.of_start(output, render.images(self._instance), client.failed("compose up", output, self._host))

    def _explain_build(self, output: str) -> StackError:
        if (lost := client.lost(self._host)) is not None:
            return lost
        error = failures.classify(
            output,
            "build-failed",
            "an image could not be built",
            "fix what the lines above name, and run `stackctl up` again; what ran before still runs",
        )
        built = [name for name in self._instance.stack.names if self._instance.source(name) is not None]
        return failures.of_build(output, built, error)
