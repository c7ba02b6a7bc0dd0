"""Three Docker hosts on one machine, joined in a Swarm, and a registry for them: for the tests marked `swarm`.

Each host has a network, a mount and a process namespace of its own, and a daemon in it from the tree of `start`. All
that runs in a host is in its process namespace, so that nothing of it outlives the first process, or this program.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.engine.docker_engine import ENTER_TREE, SUITES
from tests.engine.machine import CACHE, ENVIRONMENT, IN_NAMESPACE, Problem, answer, run, tail

IMAGES = (
    "postgres:18", "postgres:17", "pgvector/pgvector:pg18", "redis:8", "python:3.14-slim", "axllent/mailpit:v1.33",
    "rustfs/rustfs:1.0.1", "caddy:2.11",
)  # fmt: skip
"""Those of `stand_ins.IMAGES` that the tests on a Swarm use."""

# Another number makes another Swarm, so that several checkouts can have one each at once.
NUMBER = os.environ.get("STACKCTL_TEST_SWARM", "77")
HOME = CACHE / f"swarm-{NUMBER}"
SOCKETS = Path(f"/run/stackctl-swarm-{NUMBER}")
BRIDGE = f"stackctl-{NUMBER}"
SUBNET = f"10.{NUMBER}.0"
NETWORK = f"{SUBNET}.0/24"
GATEWAY = f"{SUBNET}.254"
REGISTRY = f"{GATEWAY}:5000"
NAMES = ("host1", "host2", "host3")


def daemon(name: str) -> str:
    """Return the address of the daemon of a host, as the docker client takes it."""
    return f"unix://{SOCKETS}/{name}.sock"


# By this label stackctl finds the daemon of a node.
HOST_LABEL = "stackctl.host"

# The daemon is not the first process: what ends in the namespace is reaped by the shell.
HOST = """
set -e
mount --bind "$1/usr" /usr
mount --bind "$1/etc/alternatives" /etc/alternatives
hostname "$2"
shift 2
"$@" &
wait $!
"""
ENVIRONMENT_OF_CLIENTS = {"DOCKER_HOST": daemon(NAMES[0]), "STACKCTL_REGISTRY": f"{REGISTRY}/tests"}
"""With these `stackctl` and the docker client find the Swarm while there is one."""

_WITH_THIS_PROGRAM = ("setpriv", "--pdeathsig", "KILL")
_OWN_NAMESPACES = (
    "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
)  # fmt: skip

# Bridged packets pass the rules of the machine where Docker runs, which drop what it does not know.
_MARK = ("-m", "comment", "--comment", BRIDGE)
_RULES = (
    ("filter", "FORWARD", "-i", BRIDGE, *_MARK, "-j", "ACCEPT"),
    ("filter", "FORWARD", "-o", BRIDGE, *_MARK, "-j", "ACCEPT"),
    ("nat", "POSTROUTING", "-s", NETWORK, "!", "-d", NETWORK, *_MARK, "-j", "MASQUERADE"),
)

_READY_WITHIN = 60.0
_GONE_WITHIN = 20.0
# The images of a host are gigabytes in a hundred thousand files.
_DELETED_WITHIN = 180.0
_POLL = 0.05
_PAUSE = threading.Event()


@dataclass
class Host:
    """A machine with a Docker daemon of its own. `link` is the end of its cable that this machine has."""

    name: str
    number: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{SUBNET}.{self.number}"

    @property
    def url(self) -> str:
        return daemon(self.name)

    @property
    def link(self) -> str:
        return f"skt-{NUMBER}-{self.name}"

    @property
    def namespace(self) -> str:
        return f"stackctl-{NUMBER}-{self.name}"

    @property
    def data(self) -> Path:
        return HOME / self.name

    def docker(self, *words: str, timeout: float = 60) -> str:
        """Ask its daemon; return what it printed."""
        asked = answer(["docker", "--host", self.url, *words], timeout)
        if asked.returncode:
            raise Problem(f"`docker {' '.join(words)}` on {self.name}:\n{tail(asked.stderr)}")
        return asked.stdout.strip()

    def start(self, tree: Path) -> None:
        """Start its daemon, with the containers that it had."""
        daemon = (
            "/usr/sbin/dockerd", f"--data-root={self.data}", f"--exec-root={SOCKETS}/{self.name}", "--pidfile=",
            f"--host={self.url}", f"--insecure-registry={REGISTRY}", f"--registry-mirror=http://{REGISTRY}",
            "--log-level=warn",
        )  # fmt: skip
        shutil.rmtree(SOCKETS / self.name, ignore_errors=True)
        with (HOME / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*_WITH_THIS_PROGRAM, "nsenter", f"--net=/run/netns/{self.namespace}", *_OWN_NAMESPACES),
                    *("sh", "-c", HOST, "host", str(tree), self.name, *daemon),
                ],
                env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a power cut does: its daemon and all its containers at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_GONE_WITHIN)
            self.process = None

    def cut_off(self) -> None:
        """Pull its cable."""
        run(["ip", "link", "set", self.link, "down"])

    def reconnect(self) -> None:
        run(["ip", "link", "set", self.link, "up"])

    def fill_disk(self) -> None:
        """Leave its daemon no room for what it pulls."""
        run([*self._inside, "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(self.data / "tmp")])

    def free_disk(self) -> None:
        run([*self._inside, "umount", str(self.data / "tmp")])

    @property
    def _inside(self) -> list[str]:
        """Run a command with the mounts that its daemon has."""
        assert self.process is not None
        return ["nsenter", f"--target={self.process.pid}", "--mount"]

    def await_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while (asked := answer(["docker", "--host", self.url, "version"])).returncode:
            if time.monotonic() > deadline or (self.process is not None and self.process.poll() is not None):
                log = (HOME / f"{self.name}.log").read_text(errors="replace")
                raise Problem(f"{self.name} does not answer: {tail(asked.stderr, 1)}\n{tail(log)}")
            _PAUSE.wait(_POLL)


@dataclass(frozen=True)
class Swarm:
    """Hosts that are managers of one Swarm, the first one asked. `registry`: where they find their images."""

    hosts: Sequence[Host]
    tree: Path
    registry: str = REGISTRY

    @property
    def first(self) -> Host:
        return self.hosts[0]

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which `stackctl` and the docker client find it."""
        return ENVIRONMENT_OF_CLIENTS

    def revive(self, host: Host) -> None:
        """Start a host that was killed."""
        host.start(self.tree)
        host.await_ready()


def why_not() -> str | None:
    """Say why no Swarm can be made here; None where one can."""
    if os.geteuid() != 0:
        return "you are not root"
    missing = [name for name in ("ip", "nsenter", "unshare", "setpriv") if shutil.which(name) is None]
    if missing:
        return f"there is no command {', '.join(missing)}"
    if _tree() is None:
        return "there is no tree with Docker: `tests/engine/start` makes one where no engine runs"
    asked = answer(["docker", "image", "inspect", *IMAGES, "registry:2"])
    return tail(asked.stderr, 1) if asked.returncode else None


@contextlib.contextmanager
def swarm() -> Iterator[Swarm]:
    """Bring a Swarm for the block; nothing of it is left behind. There is one of each number at a time."""
    tree = _tree()
    if tree is None:
        raise Problem(why_not() or "there is no tree")
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hosts = [Host(name, number) for number, name in enumerate(NAMES, 1)]
        _clean_up(tree, hosts)
        try:
            _connect(tree, hosts)
            for host in hosts:
                host.start(tree)
            with _registry(tree, REGISTRY):
                _provide_images(tree)
                for host in hosts:
                    host.await_ready()
                _join(hosts)
                yield Swarm(hosts, tree)
        finally:
            for host in hosts:
                host.kill()
            _clean_up(tree, hosts)


def _tree() -> Path | None:
    return next((tree for suite in SUITES if (tree := CACHE / f"engine-{suite}").is_dir()), None)


def _in_tree(tree: Path, *command: str) -> list[str]:
    return [*IN_NAMESPACE, "sh", "-c", ENTER_TREE, "enter-tree", str(tree), *command]


def _connect(tree: Path, hosts: Sequence[Host]) -> None:
    SOCKETS.mkdir(parents=True, exist_ok=True)
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    for table, chain, *rule in _RULES:
        run(_in_tree(tree, "iptables", "-t", table, "-I", chain, *rule))
    for host in hosts:
        inside = ["ip", "-n", host.namespace]
        run(["ip", "netns", "add", host.namespace])
        run(["ip", "link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace])
        run(["ip", "link", "set", host.link, "master", BRIDGE, "up"])
        run([*inside, "address", "add", f"{host.address}/24", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "link", "set", "lo", "up"])
        run([*inside, "route", "add", "default", "via", GATEWAY])
        run(["nsenter", f"--net=/run/netns/{host.namespace}", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])


def _clean_up(tree: Path, hosts: Sequence[Host]) -> None:
    """Remove all that this or a killed run left: rules, links, namespaces, files."""
    for table, chain, *rule in _RULES:
        while answer(_in_tree(tree, "iptables", "-t", table, "-D", chain, *rule)).returncode == 0:
            pass
    for host in hosts:
        answer(["ip", "link", "delete", host.link])
        answer(["ip", "netns", "delete", host.namespace])
        _remove(host.data)
        (HOME / f"{host.name}.log").unlink(missing_ok=True)
    answer(["ip", "link", "delete", BRIDGE])
    _remove(SOCKETS)


def _remove(folder: Path) -> None:
    """Remove a folder, in which processes that were killed may have mounts for a moment yet."""
    deadline = time.monotonic() + _DELETED_WITHIN
    while folder.exists():
        problem = answer(["rm", "-rf", "--one-file-system", str(folder)], _DELETED_WITHIN).stderr
        if folder.exists():
            if time.monotonic() > deadline:
                raise Problem(f"{folder} can't be removed:\n{tail(problem)}")
            _PAUSE.wait(_POLL)


def _join(hosts: Sequence[Host]) -> None:
    first, *others = hosts
    first.docker("swarm", "init", "--advertise-addr", first.address)
    token = first.docker("swarm", "join-token", "--quiet", "manager")
    for host in others:
        host.docker("swarm", "join", "--advertise-addr", host.address, "--token", token, f"{first.address}:2377")
    for host in hosts:
        first.docker("node", "update", "--label-add", f"{HOST_LABEL}={host.url}", host.name)


@contextlib.contextmanager
def _registry(tree: Path, address: str) -> Iterator[None]:
    """Run a registry at an address. Its images outlive it."""
    program = _registry_program()
    configuration = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(HOME / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    path = HOME / f"registry-{address.rpartition(':')[2]}.json"
    path.write_text(json.dumps(configuration))
    with (HOME / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            [*_WITH_THIS_PROGRAM, *_in_tree(tree, str(program), "serve", str(path))],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _await_registry(address, process)
        yield
    finally:
        process.kill()
        process.wait()


def _registry_program() -> Path:
    """Take the program out of the image `registry:2`."""
    program = HOME / "registry-program"
    if not program.exists():
        container = answer(["docker", "create", "registry:2"]).stdout.strip()
        try:
            new = program.with_suffix(".new")
            for path in ("/usr/bin/docker-registry", "/bin/registry"):
                if answer(["docker", "cp", f"{container}:{path}", str(new)]).returncode == 0:
                    return new.replace(program)
            raise Problem("the image registry:2 has no registry")
        finally:
            answer(["docker", "rm", container])
    return program


def _await_registry(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while _ask(address, "/v2/") is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Problem(f"the registry does not answer:\n{tail((HOME / 'registry.log').read_text(errors='replace'))}")
        _PAUSE.wait(_POLL)


def _ask(address: str, path: str) -> bytes | None:
    """Ask a registry, past any proxy; None if it has no answer."""
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": accept})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            found: bytes = response.read()
            return found
    except OSError:
        return None


def _provide_images(tree: Path) -> None:
    """Give the registry the images of this machine's engine that it lacks. That pushes to a loopback address alone."""
    ids = answer(["docker", "image", "inspect", "--format", "{{.Id}}", *IMAGES]).stdout.split()
    missing = [image for image, id_ in zip(IMAGES, ids, strict=True) if _pushed(image) != id_]
    if not missing:
        return
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with _registry(tree, address):
        for image in missing:
            name = f"{address}/{_in_registry(image)}"
            run(["docker", "tag", image, name])
            try:
                run(["docker", "push", name])
            finally:
                run(["docker", "rmi", name])


def _in_registry(image: str) -> str:
    """Name an image as a mirror of Docker Hub has it."""
    return image if "/" in image else f"library/{image}"


def _pushed(image: str) -> str | None:
    """Return the id of the image that the registry has by this name."""
    name, _, tag = _in_registry(image).partition(":")
    found = _ask(REGISTRY, f"/v2/{name}/manifests/{tag}")
    return None if found is None else str(json.loads(found)["config"]["digest"])
