"""Ask a Swarm what it is made of, and change it; wait while it elects another leader, or removes what one looks for."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stack.capabilities import Completed
from stack.engines.docker import api as local
from stack.engines.docker import client, failures
from stack.engines.docker.arguments import title
from stack.engines.swarm import api
from stack.engines.swarm.cluster import Cluster, read_cluster
from stack.errors import StackError
from stack.findings import Finding, failed, ok

# `start_interval` came with it.
_ENGINE = 25
# The kernel has what Docker's virtual addresses and the routing mesh are made of.
_IPVS = (Path("/proc/net/ip_vs"), Path("/sys/module/ip_vs"))
_MODULES = Path("/lib/modules")
# If the leader dies, the other managers elect one after 14 to 24 seconds.
_PASSES_WITHIN = 30.0
_POLL = 0.5
# What a manager and the docker client say meanwhile.
_LEADERLESS = re.compile(
    r"does not have a leader|context deadline exceeded|code = (?:Unavailable|DeadlineExceeded|Canceled) desc"
)
# What the client says if another one removes meanwhile what it has just seen. The `docker stack rm` of a command that
# was killed goes on.
_REMOVED_MEANWHILE = re.compile(r"\b(?:network|service) \S+ not found")
Found = TypeVar("Found")


class _Passing(StackError):
    """An error that may pass by itself: no manager leads, or another command removes what this one looks for."""


def check(within: float) -> None:
    """Raise if the daemon of the client does not answer, is too old, or is no manager of a Swarm."""
    client.find()
    version = str(_asked("/version", within).get("Version"))
    if _is_old(version):
        raise failures.too_old("docker-old", "Docker Engine", version, str(_ENGINE))
    # A daemon asks the leader for this one.
    _require_manager(_asked("/info", api.TIMEOUT))


def require_engines(cluster: Cluster) -> None:
    """Raise `docker-old` if a node that takes tasks has an engine that can't run them as they are declared."""
    for node in cluster.nodes:
        if node.ready and node.engine and _is_old(node.engine):
            raise StackError(
                "docker-old",
                f"the node {node.name} has Docker Engine {node.engine}, and stackctl needs {_ENGINE} or newer",
                f"update it there, or let it take no tasks: `docker node update --availability drain {node.name}`; "
                "then run `stackctl up` again",
            )


def _is_old(version: str) -> bool:
    return failures.version_of(version)[:1] < (_ENGINE,)


def read() -> Cluster:
    """Read the nodes. Raises `no-swarm`."""
    info = _asked("/info", api.TIMEOUT)
    _require_manager(info)
    return read_cluster(_asked("/nodes", api.TIMEOUT), info)


def listed(path: str, project_label: str) -> Sequence[Any]:
    """List services, tasks or others that have a label."""
    found: Sequence[Any] = _asked(path, api.TIMEOUT, {"label": [project_label]})
    return found


def change(words: Sequence[str], timeout: float) -> str:
    """Run a command of the docker client that can be run again; return what it printed."""

    def run() -> str:
        answer = run_once(words, timeout)
        if not answer.ok:
            raise client.failed(title(words), answer.stderr or answer.stdout)
        return answer.stdout

    return patiently(run)


def run_once(words: Sequence[str], timeout: float, variables: Mapping[str, str] | None = None) -> Completed:
    """Run a command of the docker client; return how it ended. Raises an error for `patiently` if that may pass."""
    answer = client.run(words, timeout, variables)
    if not answer.ok and _LEADERLESS.search(answer.stderr):
        raise no_manager(answer.stderr.strip())
    if not answer.ok and _REMOVED_MEANWHILE.search(answer.stderr):
        error = client.failed(title(words), answer.stderr)
        raise _Passing(error.code, error.message, error.hint, error.output)
    return answer


def patiently(ask: Callable[[], Found]) -> Found:
    """Ask again what fails with an error that may pass; raise it if it does not."""
    deadline, pause = time.monotonic() + _PASSES_WITHIN, threading.Event()
    while True:
        try:
            return ask()
        except _Passing:
            if time.monotonic() > deadline:
                raise
        pause.wait(_POLL)


def examine() -> Iterator[Finding]:
    """Report on the Swarm: its managers, its nodes, and whether their daemons are reached."""
    try:
        check(api.TIMEOUT)
        cluster = read()
        require_engines(cluster)
    except StackError as error:
        yield failed("swarm", error)
        return
    away = [node.name for node in cluster.nodes if not node.ready]
    if away:
        yield Finding("swarm", "warn", f"nodes that take no tasks: {', '.join(away)}", "look at `docker node ls`")
    else:
        yield ok("swarm", f"{len(cluster.nodes)} nodes, all ready")
    unknown = [node for node in cluster.nodes if not node.known]
    for node in unknown[:1]:
        try:
            node.require_known()
        except StackError as error:
            names = ", ".join(each.name for each in unknown)
            yield Finding("swarm nodes", "warn", f"`exec` and data need to reach: {names}", error.hint)


def _asked(path: str, timeout: float, filters: dict[str, Sequence[str]] | None = None) -> Any:
    return patiently(lambda: _asked_once(path, timeout, filters))


def _asked_once(path: str, timeout: float, filters: dict[str, Sequence[str]] | None) -> Any:
    try:
        return api.daemon().get(path, filters, timeout)
    except api.Refused as error:
        if error.status == api.NO_MANAGER or _LEADERLESS.search(error.words):
            raise no_manager(error.words) from error
        raise client.failed(path, error.words) from error
    except StackError as error:
        if error.code == "docker-daemon":
            other = "if it is the node that is gone, let DOCKER_HOST or a docker context lead to another manager"
            raise error.hinting(f"{error.hint}; {other}") from error
        raise


def _require_manager(info: dict[str, Any]) -> None:
    swarm = info.get("Swarm") or {}
    if swarm.get("LocalNodeState") != "active":
        raise StackError(
            "no-swarm",
            "the Docker daemon is in no Swarm",
            "make one with `docker swarm init`, or let DOCKER_HOST or a docker context lead to a manager of one",
        )
    if not swarm.get("ControlAvailable"):
        raise no_manager("it is a worker")


def no_manager(words: str) -> StackError:
    """Return the error of a daemon that can't tell or change anything of its Swarm."""
    if _LEADERLESS.search(words):
        return _Passing(
            "no-swarm",
            "the Swarm has lost its quorum: more than half of its managers are gone, so it changes nothing",
            "bring managers back, or make a new Swarm of one with `docker swarm init --force-new-cluster`; "
            "what runs goes on meanwhile",
            words,
        )
    return StackError(
        "no-swarm",
        f"the Docker daemon is no manager of a Swarm: {words}",
        "let DOCKER_HOST or a docker context lead to a manager: `docker node ls` works there",
    )


def has_mesh() -> bool:
    """Say whether nodes have virtual addresses and the routing mesh, for which their kernel needs IPVS.

    Of this machine it is seen, if the daemon is on it. Others are taken to have what Docker asks of a kernel.
    """
    return local.local() is None or any(path.exists() for path in _IPVS) or _has_module()


def _has_module() -> bool:
    """Say whether the kernel could load it."""
    return any((_MODULES / _release()).rglob("ip_vs.ko*"))


def _release() -> str:
    return Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip()
