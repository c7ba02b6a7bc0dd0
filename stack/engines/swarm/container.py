"""Make a container of a node like the tasks of a component, for what runs beside them.

Secrets pass by a volume of the container alone, which goes with it, and variables by the environment of the client: a
container that Swarm does not make can't have Swarm's own secrets.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator, Sequence

from stack.engines.docker import arguments, client
from stack.engines.docker.networks import plan_networks
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.docker.resolving import resolve, volumes, workload_of
from stack.engines.process import Pipe
from stack.engines.swarm import api, files, objects, render
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.volumes import create_volume
from stack.frozen import dataclass
from stack.instance import Instance
from stack.workload import Volume

_SECRETS = "/run/secrets"


@dataclass(frozen=True)
class Made:
    """A container that was made and not started, on a node."""

    node: Node
    name: str

    @property
    def start(self) -> list[str]:
        """Start it, and pass this process's streams to and from it."""
        return client.command([*on_host(self.node.host), "start", "--attach", "--interactive", self.name])

    def runs(self) -> bool:
        found = api.daemon(self.node.host).get(f"/containers/{self.name}/json")
        return found is not None and bool(found["State"]["Running"])


@contextlib.contextmanager
def made(
    instance: Instance,
    node: Node,
    component: str,
    name: str,
    command: Sequence[str],
    *,
    label: str,
    program: str | None = None,
    connected: bool = True,
    terminal: bool = False,
) -> Iterator[Made]:
    """Make a container with all that a component has but its ports, and remove it after the block.

    `program` takes the place of the entrypoint; one that is not `connected` has no network.
    """
    place = files.place_of(instance)
    entrypoint = [resolve(instance, word) for word in workload_of(instance, component).entrypoint or ()]
    first, *rest = [program] if program is not None else (entrypoint or [""])
    networks = _networks(instance, component) if connected else ["none"]
    words = [
        *("create", "--name", name, "--label", label, "--network", networks[0], *(["--tty"] if terminal else [])),
        *_options(instance, component),
        *(["--entrypoint", first] if first else []),
        *(render.image(instance, place, component), *rest, *command),
    ]
    for volume in workload_of(instance, component).volumes:
        # Docker would make it without the labels by which it is found.
        create_volume(instance, node, volume.id)
    client.read([*on_host(node.host), *words], client.STOP_TIMEOUT, _environment(instance, component))
    try:
        _put(node, name, _SECRETS, _secrets(instance, place, component))
        _put(node, name, "/", _files(instance, place, component))
        for network in networks[1:]:
            client.read([*on_host(node.host), "network", "connect", network, name], READ_TIMEOUT)
        yield Made(node, name)
    finally:
        client.run([*on_host(node.host), "container", "rm", "--force", "--volumes", name], READ_TIMEOUT)


def _options(instance: Instance, component: str) -> list[str]:
    """Return what a container is like, but for its networks. The client has the values of its variables."""
    workload = workload_of(instance, component)
    hardening, limits = workload.hardening, workload.limits
    # Files can't be put into a container whose root is not to be written to.
    read_only = hardening.read_only and not workload.files
    words = [
        "--interactive", "--cap-drop", "ALL", "--memory", f"{limits.memory}m", "--cpus", f"{limits.cpus:g}",
        "--pids-limit", str(limits.pids), "--volume", _SECRETS, "--no-healthcheck",
        *([] if hardening.new_privileges else ["--security-opt", "no-new-privileges:true"]),
        *(["--read-only"] if read_only else []),
        *(["--init"] if workload.init else []),
        *(["--user", hardening.user] if hardening.user is not None else []),
        *(["--workdir", workload.working_dir] if workload.working_dir is not None else []),
        *(["--shm-size", f"{hardening.shm}m"] if hardening.shm is not None else []),
    ]  # fmt: skip
    several = {
        "--label": [f"{name}={value}" for name, value in render.labels(instance).items()],
        "--tmpfs": hardening.tmpfs,
        "--cap-add": hardening.capabilities,
        "--env": [*_environment(instance, component)],
        "--mount": [_mount(instance, volume) for volume in workload.volumes],
    }
    return [*words, *(word for option, values in several.items() for value in values for word in (option, value))]


def _mount(instance: Instance, volume: Volume) -> str:
    read_only = ",readonly" if volume.read_only else ""
    return f"type=volume,src={volumes(instance)[volume.id]},dst={volume.target}{read_only}"


def _environment(instance: Instance, component: str) -> dict[str, str]:
    """Return the variables of a component with their values. Raises `component-down` if one has none yet."""
    workload = workload_of(instance, component)
    plain = {name: resolve(instance, value) for name, value in workload.plain_environment.items()}
    keys, values = render.given(instance), files.given_values(instance, [component])
    return plain | {name: values[keys[component, name]] for name in workload.given_environment}


def _networks(instance: Instance, component: str) -> list[str]:
    planned = sorted(plan_networks(instance.stack).items())
    return [render.docker_network(instance, name) for name, each in planned if component in each.members]


def _secrets(instance: Instance, place: objects.Place, component: str) -> list[tuple[str, bytes, int]]:
    read = workload_of(instance, component).secrets
    return [(secret.id, place.secrets[secret.id].encode(), 0o444) for secret in read if secret.id in place.secrets]


def _files(instance: Instance, place: objects.Place, component: str) -> list[tuple[str, bytes, int]]:
    carried = objects.carried_files(instance, place, component).values()
    return [(target.removeprefix("/"), each.data, mode) for each, target, mode in carried]


def _put(node: Node, container: str, folder: str, entries: Sequence[tuple[str, bytes, int]]) -> None:
    """Copy files into a container, which any user may read."""
    if not entries:
        return
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    command = client.command([*on_host(node.host), *arguments.copy_in(container, folder)])
    with Pipe(command, client.environment(), feed=True) as pipe:
        with contextlib.suppress(BrokenPipeError):
            pipe.input.write(archive.getvalue())
        if pipe.finish():
            raise client.failed("cp", pipe.complaint)
