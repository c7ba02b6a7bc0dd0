"""Ask whether there is a Swarm, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stack.engines.docker import api as local
from stack.engines.docker import client, failures
from stack.engines.swarm import api
from stack.engines.swarm.cluster import Cluster, read_cluster
from stack.errors import StackError
from stack.findings import Finding, failed, ok

# `start_interval` came with it.
_ENGINE = 25
# The kernel has what Docker's virtual addresses and the routing mesh are made of.
_IPVS = (Path("/proc/net/ip_vs"), Path("/sys/module/ip_vs"))
_MODULES = Path("/lib/modules")


def check(within: float) -> None:
    """Raise if the daemon of the client does not answer, is too old, or is no manager of a Swarm."""
    client.find()
    info = _asked("/info", within)
    if failures.version_of(str(info.get("ServerVersion")))[:1] < (_ENGINE,):
        raise failures.too_old("docker-old", "Docker Engine", str(info.get("ServerVersion")), str(_ENGINE))
    _require_manager(info)


def read() -> Cluster:
    """Read the nodes. Raises `no-swarm`."""
    info = _asked("/info", api.TIMEOUT)
    _require_manager(info)
    return read_cluster(_asked("/nodes", api.TIMEOUT), info)


def listed(path: str, project_label: str) -> Sequence[Any]:
    """List services, tasks or others that have a label."""
    found: Sequence[Any] = _asked(path, api.TIMEOUT, {"label": [project_label]})
    return found


def examine() -> Iterator[Finding]:
    """Report on the Swarm: its managers, its nodes, and whether their daemons are reached."""
    try:
        check(api.TIMEOUT)
        cluster = read()
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
    try:
        return api.daemon().get(path, filters, timeout)
    except api.Refused as error:
        if error.status == api.NO_MANAGER or _is_leaderless(error.words):
            raise no_manager(error.words) from error
        raise client.failed(path, error.words) from error


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


def _is_leaderless(words: str) -> bool:
    """Say whether a manager answers so because there are too few of them."""
    return "does not have a leader" in words or "context deadline exceeded" in words


def no_manager(words: str) -> StackError:
    """Return the error of a daemon that can't tell or change anything of its Swarm."""
    if _is_leaderless(words):
        return StackError(
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
