"""Drive Docker Swarm: the engine for an instance as services on many machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from stack.capabilities import Completed, Serve, Session
from stack.engines import process
from stack.engines.base import Engine, Local, LogLine, LogQuery, Revisions, Traits, Volumes
from stack.engines.docker import client, failures, listening, resolving
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.process import FinishedJob, Job
from stack.engines.swarm import (
    arguments,
    builds,
    ending,
    files,
    log_lines,
    losses,
    machine,
    objects,
    observe,
    render,
    spare,
)
from stack.engines.swarm.deploying import Deployment, steps
from stack.engines.swarm.left import await_offline_servers, remove_commands
from stack.engines.swarm.observe import Seen, Service
from stack.engines.swarm.owners import give_to_users
from stack.engines.swarm.placing import SwarmStandbys, forget, pin_data, pin_standby
from stack.engines.swarm.revisions import SwarmRevisions
from stack.engines.swarm.session import NodeSession
from stack.engines.swarm.volumes import SwarmVolumes, own_volumes, remove_images, remove_volumes, volume_names
from stack.errors import StackError
from stack.fields import Fields
from stack.findings import Finding
from stack.instance import Instance, not_up
from stack.observed import ComponentState, Listening, Observed, Resources

_LAST_LINES = 12
_NOT_THERE = ("incomplete log stream", "no such task or service")


class SwarmEngine(Engine):
    """An instance as services of a Swarm; see `stack.engines.base.Engine`."""

    name = "swarm"
    traits = Traits(
        target="container",
        builds=True,
        program="a Docker Swarm",
        unspecific="docker-failed",
        unreachable=frozenset({"docker-client", "docker-daemon", "docker-permission", "no-swarm"}),
        chosen_by_itself=False,
        ports_here=False,
    )

    def __init__(self, instance: Instance, system_binaries: bool = False) -> None:
        """Ignore `system_binaries`: a container brings its own."""
        self._instance = instance

    # The machine

    def check(self, within: float = 5) -> None:
        machine.check(within)
        losses.check(self._instance)

    def examine(self, own: bool) -> Iterator[Finding]:
        return machine.examine() if own else iter(())

    def losses(self) -> tuple[str, ...]:
        return losses.losses(self._instance)

    def notices(self) -> tuple[str, ...]:
        return losses.notices(self._instance, files.place_of(self._instance).mesh)

    def placement(self) -> tuple[str, ...]:
        return (*losses.placement(self._instance, machine.read()), *self.notices())

    # What is declared

    def fields(self) -> Mapping[str, Fields]:
        return render.fields(self._instance, files.place_of(self._instance))

    def render(self) -> str:
        return render.render(self._instance, files.place_of(self._instance))

    def variables(self, component: str) -> Mapping[str, str]:
        return resolving.variables(self._instance, component)

    def version(self, component: str) -> int | None:
        return self._instance.stack[component].major

    def environment(self) -> Mapping[str, str]:
        return {}

    def newest(self, images: Sequence[str]) -> Mapping[str, str]:
        # It takes a while to import, and one command asks.
        from stack.engines.docker.registries import digests

        return digests(images)

    # What exists

    def observe(self) -> Observed:
        return observe.observed(self._instance, self._look())

    def observe_all(self) -> Observed:
        seen = self._look()
        place = files.place_of(self._instance)
        names = self._instance.stack.names
        owners = {name: resolving.workload_of(self._instance, name).image_of or name for name in names}
        images = {name: place.images[owner] for name, owner in owners.items() if owner in place.images}
        node = seen.cluster.has_data(self._instance.project)
        stores = () if node is None else own_volumes(self._instance, node)
        return observe.observed(self._instance, seen, stores, images)

    def listening(self, component: str, state: ComponentState) -> Listening | None:
        try:
            found = listening.of_session(self.session(component, state))
        except StackError:
            # It has ended since, or nothing says how its node is reached.
            return None
        return listening.of_component(self._instance, component, found)

    @property
    def volumes(self) -> Volumes:
        return SwarmVolumes(self._instance)

    def resources(self) -> Resources:
        return Resources(
            containers=tuple(each["Spec"]["Name"] for each in machine.listed("/services", self._label)),
            networks=tuple(each["Name"] for each in machine.listed("/networks", self._label)),
            volumes=self.volumes.existing(),
        )

    def log_lines(self, component: str, tail: int | None, since: datetime | None = None) -> tuple[str, ...]:
        return tuple(line.text for line in self._logs([component], tail, since))

    def read_logs(self, query: LogQuery) -> Sequence[LogLine]:
        return self._logs(query.names or self._instance.stack.names, query.tail, query.since)

    def follow_logs(self, query: LogQuery, write: Callable[[LogLine], None]) -> int:
        there = self._look().services
        names = [name for name in query.names or self._instance.stack.names if name in there]

        def pass_on(printed: str) -> None:
            if (line := self._log_line(printed)) is not None:
                write(line)

        commands = [arguments.logs(self._service(name), query.tail, query.since, follow=True) for name in names]
        together = arguments.at_once([client.command(each) for each in commands])
        return process.stream(together, client.environment(), pass_on)

    def _logs(self, names: Sequence[str], tail: int | None, since: datetime | None) -> list[LogLine]:
        there = self._look().services
        lines: list[LogLine] = []
        for name in names:
            if name not in there:
                continue
            printed = self._printed(self._service(name), tail, since)
            # One of these may have become healthy meanwhile, and be in the log of its service too.
            known = frozenset(printed)
            for task in observe.starting(there[name]):
                printed += [each for each in self._printed(task, tail, since) if each not in known]
            own = [line for each in printed if (line := self._log_line(each)) is not None]
            # The client counts the lines of each task by itself, also of those that ended.
            lines += log_lines.in_order(own)[-tail:] if tail else log_lines.in_order(own)
        return log_lines.in_order(lines)

    def _printed(self, wanted: str, tail: int | None, since: datetime | None) -> list[str]:
        """Read what the client prints of the log of a service, or of a task."""
        answer = client.run(arguments.logs(wanted, tail, since), READ_TIMEOUT)
        # What a node that is down has can't be read; all else was.
        if not answer.ok and not any(each in answer.stderr for each in _NOT_THERE):
            raise client.failed("service logs", answer.stderr)
        # The client writes to each stream what the task wrote to it.
        return [*answer.stdout.split("\n"), *answer.stderr.split("\n")]

    def _log_line(self, printed: str) -> LogLine | None:
        return log_lines.parsed(printed, self._instance.project, self._instance.stack.replicas)

    # Changes

    def build(self, names: Collection[str] = ()) -> Job:
        losses.check(self._instance)
        machine.require_engines(machine.read())
        return builds.start(self._instance, names)

    def apply(self, recreate: Collection[str] = (), only: Collection[str] = (), made: Collection[str] = ()) -> Job:
        machine.require_engines(machine.read())
        stack = self._instance.stack
        if (node := pin_data(self._instance)) is not None:
            pin_standby(self._instance)
            await_offline_servers(self._instance, node)
            give_to_users(self._instance, node)
        names = [*only] if only else [*stack.lasting]
        seen = self._look()
        jobs = [name for name in names if name in stack.jobs and name in seen.services]
        # A job's service runs once, so that another run is another service.
        self._remove_services(jobs)
        if not only:
            self._remove_services([name for name in seen.services if name not in stack.names])
        left = [name for name in names if not (name in made and name not in recreate and self._is_well(seen, name))]
        if not left:
            return FinishedJob()
        return Deployment(
            steps(stack, left), self._deploying(frozenset(recreate)), self._look, self._is_well, self._task_lines
        )

    def start(self, names: Collection[str] = ()) -> Job:
        seen, stack = self._look(), self._instance.stack
        wanted = [name for name in names or self._instance.expected if name in stack.lasting]
        resting = [name for name in wanted if name in seen.services and not seen.services[name].wanted]
        if not resting:
            return FinishedJob()

        def scale(step: Sequence[str]) -> None:
            counts = {self._service(name): stack.replicas(name) for name in step}
            machine.change(arguments.scale(counts), READ_TIMEOUT)

        return self._deployment(steps(stack, resting), scale)

    def stop(self, names: Collection[str] = ()) -> None:
        services = self._look().services
        wanted = [each for name, each in services.items() if not names or name in names]
        # Of a job that has ended its task tells how.
        counts = {self._service(each.component): 0 for each in wanted if each.wanted and (not each.once or _runs(each))}
        if counts:
            machine.change(arguments.scale(counts), READ_TIMEOUT)
        ids = {each.service["ID"] for each in wanted}
        self._await_end(ids)

    def down(self) -> None:
        for node in machine.read().nodes:
            if node.known and node.answers:
                remove_commands(self._instance, node)
        ending.remove_stack(self._instance.project)
        self._remove_spare_objects()

    def destroy(self) -> None:
        self.down()
        cluster, project = machine.read(), self._instance.project
        node = cluster.has_data(project)
        if node is not None:
            remove_volumes(node, volume_names(node, project))
        for each in cluster.nodes:
            if each.known and each.ready:
                remove_volumes(each, volume_names(each, project))
                remove_images(each, self._instance)
        forget(cluster, project)

    def renew_secrets(self) -> Mapping[str, str]:
        """Name what reads a secret that has another value now."""
        place = files.place_of(self._instance)
        carried = objects.carried_secrets(self._instance, place)
        found = set()
        for name, service in self._look().services.items():
            if name in self._instance.stack.names and not service.once:
                read = resolving.workload_of(self._instance, name).secrets
                wanted = {carried[secret.id].name for secret in read if secret.id in carried}
                if not wanted <= service.secrets:
                    found.add(name)
        return dict.fromkeys(found, "Swarm gives another value of a secret only to new tasks")

    @property
    def standbys(self) -> SwarmStandbys | None:
        return SwarmStandbys(self._instance) if render.copies(self._instance) else None

    @property
    def revisions(self) -> Revisions:
        return SwarmRevisions(self._instance, self._restore, self._remove_spare_objects)

    # Commands in a component

    def session(self, component: str, state: ComponentState | None = None) -> NodeSession:
        seen = self._look()
        if not seen.services:
            raise not_up(self._instance)
        service = seen.services.get(component)
        slots = [each for each in service.slots if observe.runs(each.task)] if service is not None else []
        if state is not None:
            slots = [each for each in slots if each.number == state.first.number] or slots
        if not slots:
            raise StackError(
                "component-down",
                f"{component} does not run",
                f"run `stackctl up`, and look at `stackctl logs {component}`",
            )
        task = slots[0].task
        node = seen.node_of(task)
        assert node is not None  # noqa: S101 - a task that runs is on one
        node.require_known()
        limit = resolving.workload_of(self._instance, component).limits.memory * 2**20
        return NodeSession(component, task["Status"]["ContainerStatus"]["ContainerID"], limit, daemon=node.host)

    def run_one_off(self, component: str, command: Sequence[str], capture: bool) -> Completed:
        from stack.engines.swarm.one_off import run_one_off

        return run_one_off(self._instance, self._look(), component, command, capture)

    def local(self, component: str) -> AbstractContextManager[Local]:
        raise StackError(
            "engine-lacks",
            "a process of this machine can't take the place of a component on a Swarm",
            "run the stack with --engine compose for that",
        )

    def offline(self, component: str, serve: Serve) -> AbstractContextManager[Session]:
        from stack.engines.swarm.offline import serve_offline

        node = pin_data(self._instance) or machine.read().asked
        return serve_offline(self._instance, node, component, serve)

    # What it is made of

    @property
    def _label(self) -> str:
        return f"{render.LABEL_NAMESPACE}={self._instance.project}"

    def _service(self, component: str) -> str:
        return render.service_name(self._instance, component)

    def _look(self) -> Seen:
        cluster = machine.read()
        services, tasks = (machine.listed(path, self._label) for path in ("/services", "/tasks"))
        names = self._instance.stack.names
        return Seen(observe.read_services(self._instance.project, services, tasks, names), cluster, tasks)

    def _is_well(self, seen: Seen, name: str) -> bool:
        state = observe.observed(self._instance, seen).components.get(name)
        return state is not None and state.well

    def _deployment(self, steps: Sequence[Sequence[str]], deploy: Callable[[Sequence[str]], None]) -> Job:
        return Deployment(steps, deploy, self._look, self._is_well, self._task_lines)

    def _task_lines(self, task: str) -> str:
        """Return the last lines of a task; nothing if its node does not tell them."""
        answer = client.run(arguments.task_logs(task, _LAST_LINES), READ_TIMEOUT)
        return (answer.stdout + answer.stderr).strip() if answer.ok else ""

    def _deploying(self, recreate: frozenset[str]) -> Callable[[Sequence[str]], None]:
        """Return what deploys the components of one step; those of `recreate` also if nothing changed."""

        def deploy(names: Sequence[str]) -> None:
            before = self._look().services
            path = files.write_stack(self._instance, names)
            self._deploy(path, files.given_values(self._instance, names))
            forced = [name for name in names if name in recreate and name in before]
            after = self._look().services if forced else {}
            for name in forced:
                if after[name].template == before[name].template:
                    machine.change(arguments.remake(self._service(name)), READ_TIMEOUT)

        return deploy

    def _deploy(self, path: Path, values: Mapping[str, str]) -> None:
        command = arguments.deploy(path, self._instance.project)
        answer = machine.patiently(lambda: machine.run_once(command, client.STOP_TIMEOUT, values))
        if not answer.ok:
            output = answer.stderr or answer.stdout
            place = files.place_of(self._instance)
            images = {name: render.image(self._instance, place, name) for name in self._instance.stack.names}
            raise failures.of_start(output, images, client.failed("stack deploy", output))

    def _restore(self, path: Path, values: Mapping[str, str], names: Collection[str]) -> Job:
        stack = self._instance.stack
        known = [name for name in stack.lasting if not names or name in names]
        return self._deployment([known], lambda _: self._deploy(path, values))

    def _remove_services(self, names: Collection[str]) -> None:
        if names:
            services = self._look().services
            ids = {services[name].service["ID"] for name in names if name in services}
            machine.change(arguments.remove_services([self._service(name) for name in names]), READ_TIMEOUT)
            self._await_end(ids)

    def _remove_spare_objects(self) -> None:
        """Remove what no service has any more: secrets, configs, and networks of an earlier declaration."""
        for kind in spare.KINDS:
            spare.remove(kind, self._label, self._look().services.values())
        spare.remove_networks(self._label, render.networks(self._instance))

    def _await_end(self, services: Collection[str]) -> None:
        """Wait until no task of services runs, by their ids."""
        ending.await_end(
            lambda: any(task["ServiceID"] in services and observe.runs(task) for task in self._look().tasks)
        )


def _runs(service: Service) -> bool:
    return any(observe.runs(each.task) for each in service.slots)
